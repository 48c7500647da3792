"""A simulated Les.net: CDR files behind links, and the API's envelope.

The envelope (keys, sequence, errors) and `account/balance` are as publicly documented. THE REST IS
INVENTED: the format of CDR files and the calls that switch a peer are not published. The format of
the files is this project's, and the paths of those calls are options. `/_sim/` is the simulator's
own control interface.
"""
