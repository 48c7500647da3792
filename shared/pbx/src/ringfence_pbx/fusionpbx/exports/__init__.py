"""The export of calls: its lines, and the signatures of its rows."""
