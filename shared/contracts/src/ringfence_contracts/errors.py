"""The failure classes of a handler, exit statuses, and the error that a person reads.

A handler that fails raises one of three classes (architecture, section 4):

- `Retry`: a dependency is failing; the same record is tried again in place, with back-off, for a
  bounded time;
- `Reject`: this record can never be processed; it goes to the dead letters with its reason;
- any other exception is a bug: the process logs it and exits, and the offset is not committed.

Pure: without clock, socket, database or logger.
"""

EXIT_TEMPORARY = 75
"""Exit status when a dependency fails for too long: the platform should back off and restart."""

EXIT_SETTINGS = 64
"""Exit status when a setting or the servers file is refused: the message has the reason."""

EXIT_BUG = 70
"""Exit status on an unexpected error: a bug."""


class RingfenceError(Exception):
    """The base class of the errors that ringfence raises on purpose."""


class Retry(RingfenceError):
    """A dependency is failing: the same work may succeed later."""


class Reject(RingfenceError):
    """This record can never be processed. The message is the reason in its dead letter."""


class BadInput(RingfenceError, ValueError):
    """A value from a person or another system is refused.

    It has `field`, `value` and `expected`, so that REST, the command line and dead letters can show
    all three. Never put a secret in `value`.
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: got {shown(value)}, expected {expected}")


class Conflict(RingfenceError):
    """A key was used again with different content."""


def shown(value: object, limit: int = 200) -> str:
    """`value` as an error may show it: quoted, in one line, at most `limit` characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep; an integer of over 4,300 digits
        return f"a value of type {type(value).__name__} that is too large to be shown"
    return text if len(text) <= limit else f"{text[: limit - 1]}… ({len(text)} characters)"
