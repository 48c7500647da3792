"""Receives the call records that PBXs post, and answers a post once its record is safe."""
