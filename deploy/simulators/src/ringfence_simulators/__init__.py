"""Protocol-true stand-ins for PBXs and providers that can not run here."""
