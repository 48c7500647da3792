"""Commands about tariffs and the packages that use them."""
