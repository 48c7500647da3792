"""A simulated Vodia PBX, by its REST catalogue; undocumented behaviour is configurable."""
