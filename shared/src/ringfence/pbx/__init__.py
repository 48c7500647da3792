"""How to speak to PBXs: wire protocols that two services share; never what to decide."""
