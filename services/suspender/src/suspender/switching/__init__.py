"""Brings the PBXs to the desired state: each server by itself, in batches."""
