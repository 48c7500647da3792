"""Narrow a value to the type that a test expects, or fail with a message that shows the value."""

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """The value, which must not be None.

    Raises:
        AssertionError: if it is None.
    """
    assert value is not None, "expected a value, got None"
    return value


def expect(kind: type[T], value: object) -> T:
    """The value, which must be an instance of `kind`.

    Raises:
        AssertionError: if it is of another type; the message shows the value.
    """
    assert isinstance(value, kind), f"expected {kind.__name__}, got {value!r}"
    return value
