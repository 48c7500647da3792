"""Hostile bytes for fuzzers: values at every limit, broken documents, and damaged good ones.

`EXAMPLES` makes a fuzzer deterministic and gives it three times the examples of other tests.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ringfence_contracts.records import Headers

EXAMPLES = settings(
    max_examples=3 * settings().max_examples,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

DEPTHS = (100, 199, 201, 253, 255, 400, 900, 940, 960, 970, 980, 990, 995, 1000, 1023, 1025, 5000)
"""Around the limits of pydantic (200), orjson (254 and 1,024) and Python (1,000)."""

ODD_TEXTS = (
    "", " ", "\x00", "a\x00b", "\ufffd", "\u202e", "1e999999999", "-0", "NaN", "0x10", "１２",
    "9" * 20, "9" * 5000, "x" * 1001, "x" * 70_000, "a" * 100 + ":", "../../etc/passwd", "%00",
    "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "2026-11-21T12:00:00", "<a>", "&#99999999999;", '"', "\\", "\r\n", "=1+1",
    "'; drop table x; --",
)  # fmt: skip

ODD_JSON = (
    "", "{", "[", "nul", '"', "NaN", "-Infinity", "1e400", "1E999999999999", "-1e-999999999",
    "9" * 5000, "-" + "9" * 400, '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '{"a":1,"a":2}',
    "[1,]", "\ufeff{}", "/**/{}", "tru", "1.5e3", '{"a"', "[" * 100_000, '{"a":' * 3000,
)  # fmt: skip

NUMBERS = (
    0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**17,
    10**17 + 1, 10**30, 0.5, -0.0, 1e300, 604_800, 604_801, 4_102_444_800, 253_402_300_800,
)  # fmt: skip

odd_values = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.sampled_from(NUMBERS),
    st.none() | st.booleans(),
    st.text(max_size=30),
    st.lists(st.integers() | st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """JSON nested so deep."""
    return opening * depth + closing * depth


def documents(good: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """JSON documents like a good one: fields changed, missing, repeated, nested deep, damaged."""
    names = st.sampled_from(sorted(good) or ["a"])
    changed = st.dictionaries(names | st.text(max_size=10), odd_values, max_size=4).map(
        lambda fields: json.dumps(good | fields).encode("utf-8", "surrogatepass")
    )
    without = names.map(lambda name: json.dumps({n: v for n, v in good.items() if n != name}))
    raw = st.tuples(names, st.sampled_from(ODD_JSON) | st.sampled_from(DEPTHS).map(nested)).map(
        lambda pair: json.dumps(good)[:-1] + f', "{pair[0]}": {pair[1]}, "more": {pair[1]}}}'
    )
    deep = st.sampled_from(DEPTHS).map(lambda depth: nested(depth, '{"a":[', "]}"))
    whole = json.dumps(good).encode()
    return st.one_of(
        changed,
        without.map(str.encode),
        raw.map(lambda text: text.encode("utf-8", "surrogatepass")),
        deep.map(str.encode),
        st.sampled_from(ODD_JSON).map(str.encode),
        st.binary(max_size=200),
        damaged(whole),
    )


def damaged(good: bytes) -> st.SearchStrategy[bytes]:
    """Good bytes with some replaced, removed, inserted or repeated."""

    def at(place: int, length: int, put: bytes, times: int) -> bytes:
        start = place % (len(good) + 1)
        return good[:start] + put * times + good[start + length :]

    puts = st.binary(max_size=6) | st.sampled_from(
        [b'"', b"\x00", b"\xff\xfe", b",", b"\r\n", b"<", b"&#9999999999;", b"\xed\xa0\x80", b"9"]
    )
    return st.builds(
        at, st.integers(0, 10**6), st.integers(0, 50), puts, st.sampled_from((0, 1, 2, 5000))
    )


def survives(read: Callable[[], object], *refusals: type[Exception]) -> bool:
    """Whether a reader takes its input; False if it refuses it with one of `refusals`.

    Any other exception is raised, and fails the test. A refusal has a reason that fits into a
    dead letter.
    """
    try:
        read()
    except refusals as refused:
        reason = str(refused)
    else:
        return True
    assert 0 < len(reason) < 20_000, "a refusal names its reason, in a bounded text"
    return False


def random_records(
    good: bytes, chance: random.Random, count: int
) -> Iterator[tuple[bytes, Headers]]:
    """Values and headers of hostile records like a good one; the same for the same seed."""
    document: dict[str, Any] = json.loads(good)
    names = sorted(document)
    for _ in range(count):
        fields = dict(document)
        for name in chance.sample(names, min(len(names), chance.randint(1, 3))):
            fields[name] = chance.choice((*ODD_TEXTS, *NUMBERS, None, [], {}, [{}], True))
        whole = json.dumps(fields).encode("utf-8", "surrogatepass")
        start, cut = chance.randrange(len(good)), chance.randint(0, 9)
        deep = nested(chance.choice(DEPTHS))
        value = chance.choice(
            (
                whole,
                chance.choice(ODD_JSON).encode("utf-8", "surrogatepass"),
                good[:start] + chance.randbytes(chance.randint(0, 9)) + good[start + cut :],
                json.dumps(document)[:-1].encode() + f', "later": {deep}}}'.encode(),
                chance.randbytes(chance.randint(0, 300)),
                b"",
            )
        )
        yield value, chance.choice(ODD_HEADERS)


ODD_HEADERS: tuple[Headers, ...] = (
    (),
    (("ce_id", None),),
    (("ce_id", b"7"), ("ce_correlationid", None)),
    (("ce_id", b"\xff\x00"), ("ce_id", b""), ("\u20ac", b""), ("x", b"\x00")),
    (("ce_correlationid", b"x" * 20_000),),
    (("ce_id", b"0b0f3d3c-97a5-5e3a-8d0e-7a6d3a1f9f10"), ("ce_correlationid", b"\xff\x00")),
)
"""Headers without values, not unique, not UTF-8, too long."""
