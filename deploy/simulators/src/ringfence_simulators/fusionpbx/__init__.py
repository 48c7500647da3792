"""A simulated FusionPBX: the pages that ringfence uses, as version 5.5 or the 5.6 line serves them.

It keeps three things apart that are easily taken for one: the flag that is stored (what the pages
show), the live state (gateways that run, directory entries that are cached), and whether a call
can be placed now. `/_sim/` is its own control interface and no part of FusionPBX.
"""
