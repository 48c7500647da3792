"""Les.net: its API, the templates of orders, the format of its CDR files."""
