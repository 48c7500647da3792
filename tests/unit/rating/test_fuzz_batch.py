"""Whatever a record holds: it is read or rejected with its reason, and the next one is read."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from rating.posting.batch import read_batch
from ringfence_contracts.examples import examples_of
from ringfence_contracts.records import Received
from ringfence_contracts.topics import (
    ACCOUNT_CHANGED,
    CALL_COMPLETED,
    PAYMENT_RECEIVED,
    TARIFF_PUBLISHED,
    Topic,
)
from ringfence_testing.records import from_outgoing
from tests.support.hostile import DEPTHS, EXAMPLES, ODD_HEADERS, documents, nested

TOPICS = (CALL_COMPLETED, PAYMENT_RECEIVED, ACCOUNT_CHANGED, TARIFF_PUBLISHED)
CALL = examples_of(CALL_COMPLETED)[0]


def deep_call(depth: int, caller_name: str) -> bytes:
    """A call with an unknown field that is nested so deep."""
    call = json.dumps(CALL.document | {"caller_name": caller_name})
    return f'{call[:-1]}, "later": {nested(depth)}}}'.encode()


@EXAMPLES
@given(st.data(), st.sampled_from(TOPICS))
def test_any_record_is_read_or_rejected_and_the_next_one_is_read(
    data: st.DataObject, topic: Topic
) -> None:
    good = from_outgoing(examples_of(topic)[0].record())
    value = data.draw(documents(examples_of(topic)[0].document))
    headers = data.draw(st.sampled_from((*ODD_HEADERS, good.headers)))
    bad = good._replace(value=value, headers=headers, key=data.draw(st.none() | st.binary()))
    batch = read_batch([bad, good])
    read = [*batch.calls, *batch.payments, *batch.accounts, *batch.tariffs]
    assert len(read) + len(batch.rejected) == 2
    assert all(0 < len(dead.reason) < 20_000 for dead in batch.rejected)
    assert good not in [dead.received for dead in batch.rejected]


@EXAMPLES
@given(st.sampled_from(DEPTHS), st.sampled_from(("Ann", "x" * 1200, "a\x00b")))
@example(300, "x" * 1200)
@example(3000, "Ann")
def test_a_call_with_a_field_of_any_depth_is_read_or_rejected(depth: int, name: str) -> None:
    """With a long name it is cleaned and written again, which is possible to a lesser depth."""
    bad = Received(CALL_COMPLETED.name, 0, 0, b"k", deep_call(depth, name))
    batch = read_batch([bad, from_outgoing(CALL.record())])
    assert len(batch.calls) + len(batch.rejected) == 2
    assert len(batch.calls) >= 1
