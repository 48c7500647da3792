"""Les.net: peers are switched by API calls that the servers file configures."""
