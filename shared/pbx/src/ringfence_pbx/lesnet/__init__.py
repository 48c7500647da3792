"""Les.net: its API, the templates of its calls, and the format of its CDR files."""
