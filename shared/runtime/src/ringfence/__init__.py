"""What every ringfence service shares: contracts, shells and adapters; no business rule."""
