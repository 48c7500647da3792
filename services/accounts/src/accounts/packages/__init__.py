"""Packages of free minutes: their terms and their routes."""
