"""A simulated FusionPBX: the pages that ringfence uses, as in version 5.5 or 5.6.

It distinguishes the stored flag (which the pages show), the live state (running gateways, cached
directory entries), and whether a call can be placed now. `/_sim/` is its own control interface and
not part of FusionPBX.
"""
