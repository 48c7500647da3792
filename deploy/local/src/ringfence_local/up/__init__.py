"""`ringfence up`: the product on one machine, for the operator's own PBXs."""
