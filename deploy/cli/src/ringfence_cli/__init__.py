"""The `ringfence` command, an HTTP client of the API."""
