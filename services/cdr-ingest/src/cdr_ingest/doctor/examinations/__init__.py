"""One examination for each kind of server; nothing is changed there."""
