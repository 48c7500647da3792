"""`ringfence doctor`: every server that the product depends on is examined."""
