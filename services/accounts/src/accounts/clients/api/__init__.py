"""Routes under /clients."""
