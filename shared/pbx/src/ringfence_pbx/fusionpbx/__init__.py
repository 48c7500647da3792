"""FusionPBX: its login, its pages and forms, and its exports."""
