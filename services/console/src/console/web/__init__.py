"""The application around the pages: sessions, templates, security."""
