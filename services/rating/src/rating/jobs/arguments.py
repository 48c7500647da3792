"""Reads the arguments of a job, which are texts."""

from uuid import UUID

from ringfence.postgres.jobs import Job
from ringfence_contracts.errors import BadInput

LONGEST_WAIT_S = 600.0


def text(job: Job, name: str, expected: str) -> str:
    """A required argument, without blanks around it. Raises BadInput."""
    value = optional_text(job, name)
    if value is None:
        raise BadInput(name, "", expected)
    return value


def optional_text(job: Job, name: str) -> str | None:
    """An argument without blanks around it; None if it is missing or blank."""
    return job.arguments.get(name, "").strip() or None


def seconds(job: Job, name: str, default: float) -> float:
    """A time in seconds, at most LONGEST_WAIT_S. Raises BadInput."""
    given = optional_text(job, name)
    try:
        value = default if given is None else float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= LONGEST_WAIT_S:
        raise BadInput(name, given, f"a number of seconds from 0 to {LONGEST_WAIT_S:.0f}")
    return value


def yes(job: Job, name: str) -> bool:
    """Whether an argument is `yes`; missing: no. Raises BadInput for other text."""
    given = optional_text(job, name) or "no"
    if given not in ("yes", "no"):
        raise BadInput(name, given, "yes or no")
    return given == "yes"


def whole(job: Job, name: str, expected: str) -> int:
    """A whole number of at most nine digits. Raises BadInput."""
    given = text(job, name, expected)
    if not (given.isascii() and given.isdigit() and len(given) <= 9):
        raise BadInput(name, given, expected)
    return int(given)


def uuid(job: Job, name: str, expected: str) -> UUID:
    """An id. Raises BadInput."""
    given = text(job, name, expected)
    try:
        return UUID(given)
    except ValueError:
        raise BadInput(name, given, expected) from None
