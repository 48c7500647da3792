"""Commands about tariffs and packages."""
