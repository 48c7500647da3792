"""Sources of calls of a FusionPBX: its CSV export, or its database."""
