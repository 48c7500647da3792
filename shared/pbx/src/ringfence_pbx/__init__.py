"""Clients of PBXs and providers, the servers file, and the comparison of products with servers."""
