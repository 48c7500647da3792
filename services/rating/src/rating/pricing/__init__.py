"""What a call costs: pure rules on plain values, without clock, socket, database or logger."""
