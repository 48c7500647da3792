"""Clients for PBXs and providers: protocols, servers file, comparison. No decisions."""
