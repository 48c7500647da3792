"""Errors that every vendor's client raises."""

from ringfence_contracts.errors import RingfenceError


class Refused(RingfenceError):
    """A server will not let us: a wrong key, host name or right. Trying again changes nothing.

    The message names the server and what to do, never a secret.
    """
