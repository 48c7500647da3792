"""FusionPBX's pages, a family of them in each module."""
