"""FusionPBX's pages, grouped into modules."""
