"""Simulators of PBXs and providers, with their protocols."""
