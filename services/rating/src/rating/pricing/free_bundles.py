"""Which of a package's bundles of free minutes pays for a number. Pure.

A bundle of a group of destinations has prefixes, with country code: that with the longest one that
the number begins with pays, and only that. A call to a number of no such bundle uses the national
bundle if the number is of the package's country, unless the package takes it out of that bundle by
a prefix, or if the package puts it in. Of a prefix in and one out the longer counts, and of two
equal ones that which takes out.

No bundle pays for a premium number, a short code or an extension, whatever its prefixes are. A
bundle that is used up is not replaced by another: the rest of the call is paid.
"""

from collections.abc import Iterable

from rating.pricing.number import DialledNumber
from ringfence_contracts.events.account import Package

NATIONAL = ""
"""The name of the bundle that has a package's `free_minutes`."""


class FreeBundles:
    """A package's bundles; `granted_s` has the free seconds of a period by the bundle's name.

    Bundles without free seconds are not in `granted_s`.
    """

    __slots__ = ("_by_prefix", "_has_prefixes", "_in", "_lengths", "_out", "granted_s", "names")

    def __init__(self, package: Package | None) -> None:
        self._by_prefix: dict[str, str] = {}
        self._in: tuple[str, ...] = package.free_minutes_prefixes if package else ()
        self._out: tuple[str, ...] = package.free_minutes_without if package else ()
        self.granted_s: dict[str, int] = {}
        if package is not None:
            if package.free_minutes:
                self.granted_s[NATIONAL] = package.free_minutes * 60
            for bundle in package.free_bundles:
                self.granted_s.setdefault(bundle.name, bundle.minutes * 60)
                for prefix in bundle.prefixes:
                    self._by_prefix.setdefault(prefix, bundle.name)
        self.names: tuple[str, ...] = tuple(self.granted_s)
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)
        self._has_prefixes = bool(self._by_prefix or self._in or self._out)

    def bundle_of(self, number: DialledNumber) -> str | None:
        """The name of the bundle that pays for an outbound number; None: none does."""
        if not self._has_prefixes:
            return NATIONAL if number.is_national else None
        if number.kind != "e164" or number.premium:
            return None
        digits = number.digits
        for length in self._lengths:
            name = self._by_prefix.get(digits[:length])
            if name is not None:
                return name
        is_in, is_out = _longest(self._in, digits), _longest(self._out, digits)
        if is_out:
            return NATIONAL if is_in > is_out else None
        return NATIONAL if is_in or not number.international else None


def _longest(prefixes: Iterable[str], digits: str) -> int:
    """The length of the longest of the prefixes that the digits begin with; 0 if none is one."""
    return max((len(prefix) for prefix in prefixes if digits.startswith(prefix)), default=0)
