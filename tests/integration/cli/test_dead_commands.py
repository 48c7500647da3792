"""`ringfence dead` and /v1/dead: dead records are listed, shown, handled again, dropped."""

from collections.abc import AsyncIterator

import pytest

from ringfence_cli.operations.dead import dead
from ringfence_contracts.topics import BALANCE_CHANGED
from tests.support.accounts import running_api
from tests.support.commands import Operator
from tests.support.dead_records import WRONG, Watch, watching


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        yield Operator(api)


@pytest.fixture
async def watch(database: str) -> AsyncIterator[Watch]:
    async with watching(database) as opened:
        yield opened


async def test_a_dead_record_is_listed_and_shown_with_its_content(
    operator: Operator, watch: Watch
) -> None:
    assert await operator.output(dead, "list") == "No dead records."
    await watch.dies()
    await watch.dies()  # the same record again, after a restart
    assert watch.consumer.parked == 2
    (row,) = await operator.json(dead, "list")
    assert (row["consumer"], row["topic"]) == ("balance-watch", BALANCE_CHANGED.name)
    assert (row["partition"], row["offset"], row["key"]) == (3, 7, "acme-1001")
    assert (row["state"], row["value_bytes"]) == ("dead", len(WRONG))
    listed = await operator.output(dead, "list", "--consumer", "balance-watch")
    assert row["dead_id"][:8] in listed
    assert "acme-1001: version: got -1, expected more" in listed
    assert await operator.json(dead, "list", "--consumer", "rating") == []
    shown = await operator.json(dead, "show", row["dead_id"][:8])
    assert shown["value"] == WRONG.decode()
    assert shown["headers"]["x"] == "\ufffd"
    assert WRONG.decode() in await operator.output(dead, "show", row["dead_id"][:8])


async def test_a_record_is_handled_again_and_its_events_are_published(
    operator: Operator, watch: Watch
) -> None:
    await watch.dies()
    (row,) = await operator.json(dead, "list")
    refused = await operator.output(dead, "retry", row["dead_id"], status=1)
    assert "it is rejected again: version: got -1, expected more" in refused
    assert watch.consumer.parked == 1
    watch.consumer.rejects = False
    done = await operator.output(dead, "retry", row["dead_id"][:8], "--reason", "fixed")
    assert "done: the record was handled" in done
    (handled,) = watch.consumer.handled
    assert (handled.value, handled.offset, handled.header("ce_id")[:4]) == (WRONG, 7, "5f0c")
    assert len(watch.consumer.published) == 1
    assert await operator.json(dead, "list") == []
    (kept,) = await operator.json(dead, "list", "--state", "retried")
    assert (kept["decided_by"], kept["decided_why"]) == ("tester", "fixed")
    again = await operator.output(dead, "retry", row["dead_id"], status=2)
    assert "the record was retried before" in again
    assert len(watch.consumer.handled) == 1


async def test_a_record_is_dropped_with_its_reason(operator: Operator, watch: Watch) -> None:
    await watch.dies()
    (row,) = await operator.json(dead, "list")
    await operator.output(dead, "drop", row["dead_id"], status=2)
    dropped = await operator.output(dead, "drop", row["dead_id"], "--reason", "a test call")
    assert "done: the record is dropped" in dropped
    assert watch.consumer.handled == []
    listed = await operator.output(dead, "list", "--state", "dropped")
    assert "dropped by tester: a test call" in " ".join(listed.split())


async def test_a_record_that_is_not_kept_whole_is_refused(operator: Operator, watch: Watch) -> None:
    await watch.dies(value=b'"' + b"x" * 300_000 + b'"')
    (row,) = await operator.json(dead, "list")
    assert row["value_bytes"] == 300_002
    watch.consumer.rejects = False
    refused = await operator.output(dead, "retry", row["dead_id"], status=1)
    assert "send it again from its topic" in " ".join(refused.split())


async def test_a_row_of_a_source_is_listed_and_cannot_be_handled_again(
    operator: Operator,
) -> None:
    await operator.api.database.execute(
        "insert into cdr_ingest.record (record_id, server_id, tenant, source, disposition, reason)"
        " values (gen_random_uuid(), 'pbx1', 'north.example', '', 'dead', 'columns: got 38')"
    )
    (row,) = await operator.json(dead, "list", "--consumer", "cdr-ingest")
    assert (row["key"], row["reason"], row["offset"]) == (
        "pbx1:north.example",
        "columns: got 38",
        None,
    )
    refused = await operator.output(dead, "retry", row["dead_id"], status=2)
    assert "it can be read again at its source alone" in " ".join(refused.split())
