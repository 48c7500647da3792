"""A simulated Vodia PBX, by its REST catalogue; what that leaves open can be chosen."""
