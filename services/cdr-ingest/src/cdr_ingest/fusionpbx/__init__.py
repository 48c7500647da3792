"""Calls of a FusionPBX, from its CSV export or its database."""
