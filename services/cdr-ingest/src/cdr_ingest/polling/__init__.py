"""Reading a source again and again: windows, intervals, outages."""
