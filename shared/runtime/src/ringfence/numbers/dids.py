"""The forms of a product's DID, so that a call finds it however its PBX writes it. Pure."""

from ringfence.numbers.facts import MAX_E164, facts_of, trunk_prefix
from ringfence.numbers.written import did_key, digits

_EXIT_CODES = ("00", "011")
"""What people write before a complete number instead of its `+`: most countries, and +1."""


def did_keys(did: str, country_code: str = "1") -> tuple[str, ...]:
    """The keys under which a product's DID is found, as `did_key` makes them of a call's number.

    The first is the DID's own. The others are the other forms of the same number: complete, with
    an exit code, and as it is dialled in its own country (4420 7946 0000, 0044 20 7946 0000 and
    020 7946 0000). Calls then need no country code to be looked up.
    """
    written = digits(did)
    complete = _complete(written, did.strip().startswith("+"), country_code)
    keys = [did_key(did)]
    if complete:
        keys += [did_key(complete), *(exit_code + complete for exit_code in _EXIT_CODES)]
        trunk = trunk_prefix(country_code)
        if trunk and complete.startswith(country_code):
            keys.append(trunk + complete[len(country_code) :])
    return tuple(dict.fromkeys(filter(None, keys)))


def _complete(written: str, has_plus: bool, country_code: str) -> str:
    """A DID with its country code; empty if it is not a possible number."""
    if has_plus:
        return written if facts_of(written).possible else ""
    for exit_code in _EXIT_CODES:
        rest = written.removeprefix(exit_code)
        if rest != written and facts_of(rest).possible:
            return rest
    trunk = trunk_prefix(country_code)
    if trunk and written.startswith(trunk):
        at_home = country_code + written[len(trunk) :]
        return at_home if facts_of(at_home).possible else ""
    at_home = country_code + written
    if country_code == "1" and len(written) == 10 and facts_of(at_home).possible:
        return at_home
    return written if len(written) <= MAX_E164 and facts_of(written).possible else ""
