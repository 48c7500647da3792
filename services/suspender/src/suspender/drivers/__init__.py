"""A driver for each kind of PBX, all with the same operations (`driver`)."""
