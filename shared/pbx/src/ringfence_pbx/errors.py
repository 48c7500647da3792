"""The errors that the clients of all vendors raise."""

from ringfence_contracts.errors import RingfenceError


class Refused(RingfenceError):
    """A server rejects a request: a wrong key, host name or right. A retry does not help.

    The message names the server and what the operator must do, and never contains a secret.
    """
