"""A simulated Les.net: CDR files behind links, and the API's envelope.

The envelope (keys, sequence, errors) and `account/balance` are as they are publicly known. THE REST
IS MADE UP: what a CDR file looks like, and the calls that switch a peer, are published nowhere. The
files are of this project's own making, and the paths of those calls are options. `/_sim/` is the
simulator's own control interface.
"""
