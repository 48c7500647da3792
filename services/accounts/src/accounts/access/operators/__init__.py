"""Operators: who may log in, with which password and scopes."""
