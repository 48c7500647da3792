"""Errors of a stack on one machine; each message says what to do."""

from ringfence_contracts.errors import RingfenceError


class StackError(RingfenceError):
    """A part of the stack did not start, is not available, or refused a request."""


class TransientStartError(StackError):
    """A server did not start, and another attempt can succeed.

    Another process took the port after it was chosen, or processes of a killed server still run.
    """
