"""Jobs: work of minutes that a service does on request. Requests, progress and results."""
