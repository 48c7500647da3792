"""Packages: the terms by which calls are priced, and their routes."""
