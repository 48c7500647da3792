"""The queue of calls that could not be rated, and further attempts to rate them."""
