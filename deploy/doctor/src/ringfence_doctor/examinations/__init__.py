"""Examination of one server from outside: one module for each kind."""
