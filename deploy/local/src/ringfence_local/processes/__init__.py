"""Child processes: start, supervision, stop and logs."""
