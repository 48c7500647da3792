"""Les.net: a peer is switched by the calls that configuration names."""
