"""The three verdicts on a failure, and the error that a person reads.

A handler that fails says which of three things is the case (architecture, section 4):

- `Retry`: the world is unwell; the same record is tried again, in place, backed off and bounded;
- `Reject`: this record can never work; it goes to the dead letters with its reason;
- anything else is a bug: the process logs it and exits, and the offset does not move.

Pure: without clock, socket, database or logger.
"""

EXIT_TEMPORARY = 75
"""Exit status when the world stayed unwell for too long: let the platform back off and restart."""

EXIT_FUSE = 78
"""Exit status when too many records in a row were rejected: a person must look."""

EXIT_SETTINGS = 64
"""Exit status when a setting or the servers file is refused: the message says which and why."""

EXIT_BUG = 70
"""Exit status on an unexpected error: a bug."""


class RingfenceError(Exception):
    """The root of the errors that ringfence raises on purpose."""


class Retry(RingfenceError):
    """The world is unwell: try the same thing again later."""


class Reject(RingfenceError):
    """This record can never work. The message is the reason that the dead letter carries."""


class FuseBlown(RingfenceError):
    """Too many records in a row were rejected: more likely our fault than theirs."""


class BadInput(RingfenceError, ValueError):
    """A value that a person or a peer gave is refused.

    Carries `field`, `value` and `expected`, so that every surface (REST, command line, dead
    letter) can say all three. Never put a secret in `value`.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: got {shown(value)}, expected {expected}")


class Conflict(RingfenceError):
    """A key that was used before came again with different content."""


def shown(value: object, limit: int = 200) -> str:
    """`value` as an error may show it: quoted, one line, at most `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}… ({len(text)} characters)"
