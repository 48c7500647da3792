"""What can go wrong with the embedded parts, said so that a person can act on it."""

from ringfence_contracts.errors import RingfenceError


class StackError(RingfenceError):
    """An embedded part did not start, or its files can not be had. There is no stand-in for it."""


class TransientStartError(StackError):
    """It did not start for a reason that another start avoids: the port went to somebody else
    between our look and its bind, or the processes of a killed server have not all ended yet."""
