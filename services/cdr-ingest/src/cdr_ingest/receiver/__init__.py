"""Receives the call records that PBXs post, and answers once each of them is safe."""
