"""FusionPBX: gateways, extensions, domains and the right to call out."""
