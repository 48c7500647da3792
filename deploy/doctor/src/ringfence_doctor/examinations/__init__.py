"""The checks of one server from outside, a module for each kind of server."""
