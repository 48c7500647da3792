"""FusionPBX: its login, its pages and forms, its exports."""
