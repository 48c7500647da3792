"""Acts on what is desired: each server on its own, in batches."""
