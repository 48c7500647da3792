"""What each login may do on brokers with access control."""

import json
import re
import shlex

import pytest
from click.testing import CliRunner

from notifier.operator.channels import GROUP
from rating.jobs.wiring import GROUP as JOBS_GROUP
from rating.unrated.rows import GROUP as ROWS_GROUP
from ringfence.kafka.access.acls import CONSOLE, OPERATOR, SETUP, accesses, commands
from ringfence.kafka.access.granting import grants
from ringfence.kafka.command import topics
from ringfence_contracts.topics import ALL_TOPICS, dead_letter_topics, topic_configs
from tests.support.sources import ROOT, SOURCES, text_of

BY_LOGIN = {access.login: access for access in accesses()}


def test_every_topic_has_one_writer() -> None:
    written = [name for access in accesses() for name in access.writes]
    assert sorted(written) == sorted(topic_configs())


def test_money_topics_are_written_by_their_owners() -> None:
    assert [a.login for a in accesses() if "payment.received.v1" in a.writes] == ["accounts"]
    assert [a.login for a in accesses() if "balance.zero.v1" in a.writes] == ["balance-watch"]
    assert [a.login for a in accesses() if "account.changed.v1" in a.writes] == ["accounts"]


def test_a_service_reads_its_topics_and_writes_its_dead_letters() -> None:
    for topic in ALL_TOPICS:
        for reader in topic.readers:
            assert topic.name in BY_LOGIN[reader].reads
            assert topic.dead_letters(reader) in BY_LOGIN[reader].writes
    assert not {name for a in accesses() for name in a.reads} & set(dead_letter_topics())


def test_groups_are_those_of_the_services() -> None:
    assert {a.login: a.groups for a in accesses()} == {
        "accounts": ("accounts",),
        "balance-watch": ("balance-watch",),
        "cdr-ingest": ("cdr-ingest",),
        "notifier": ("notifier", GROUP),
        "rating": ("rating", JOBS_GROUP, ROWS_GROUP),
        "suspender": ("suspender",),
        OPERATOR: ("rating",),
        CONSOLE: (),
    }


def test_every_group_that_a_service_names_is_granted_to_it() -> None:
    named = {
        (path.relative_to(ROOT / "services").parts[0], group)
        for path in SOURCES
        if path.is_relative_to(ROOT / "services")
        for group in re.findall(r'^GROUP = "([^"]+)"', text_of(path), re.MULTILINE)
    }
    assert len(named) >= 3
    assert [(name, group) for name, group in named if group not in BY_LOGIN[name].groups] == []


def test_an_owner_sees_how_far_its_readers_are_and_reads_its_own_states() -> None:
    """Anti-entropy: what is in flight is not published again, and a restore is found."""
    assert BY_LOGIN["accounts"].watches == (
        "balance-watch", "cdr-ingest", "notifier", "rating", "suspender",
    )  # fmt: skip
    assert BY_LOGIN["cdr-ingest"].watches == ("notifier", "rating")
    assert "account.changed.v1" in BY_LOGIN["accounts"].reads
    assert "balance.changed.v1" in BY_LOGIN["rating"].reads
    assert "balance.zero.v1" in BY_LOGIN["balance-watch"].reads


def test_rating_compares_its_own_events_with_the_ledger() -> None:
    """`ringfence verify --replay` reads call.rated, of which rating is no reader else."""
    assert "call.rated.v1" in BY_LOGIN["rating"].reads
    assert "call.rated.v1.dlq.rating" not in BY_LOGIN["rating"].writes


def test_the_login_that_reads_all_topics_writes_none() -> None:
    assert (BY_LOGIN[OPERATOR].reads, BY_LOGIN[OPERATOR].writes) == (("*",), ())


def test_only_the_service_that_examines_sees_topics_that_it_neither_reads_nor_writes() -> None:
    assert {a.login: a.describes for a in accesses() if a.describes} == {"cdr-ingest": ("*",)}


def test_commands_and_grants_match_the_table_exactly() -> None:
    granted = set()
    for line in commands("kafka:9093", "admin.properties"):
        program, *words = shlex.split(line)
        assert program == "kafka-acls.sh"
        options = list(zip(words, [*words[1:], ""], strict=True))
        given = {name: [v for n, v in options if n == name] for name in ("--topic", "--group")}
        (login,) = (v.removeprefix("User:") for n, v in options if n == "--allow-principal")
        for operation in (v for n, v in options if n == "--operation"):
            granted |= {(login, operation, k, v) for k, names in given.items() for v in names}
    wanted = {(SETUP, operation, "--topic", "*") for operation in ("Create", "Describe")}
    for access in accesses():
        for name in access.reads:
            wanted |= {(access.login, o, "--topic", name) for o in ("Read", "Describe")}
        for name in access.writes:
            wanted |= {(access.login, o, "--topic", name) for o in ("Write", "Describe")}
        wanted |= {(access.login, "Read", "--group", name) for name in access.groups}
        wanted |= {(access.login, "Describe", "--topic", name) for name in access.describes}
        wanted |= {(access.login, "Describe", "--group", name) for name in access.watches}
    assert granted == wanted
    assert granted == {
        (g.login, g.operation.name.title(), f"--{g.resource.name.lower()}", g.name)
        for g in grants()
    }


@pytest.mark.parametrize("arguments", [[], ["--commands", "--config", "/etc/kafka/a.properties"]])
def test_the_command_prints_them(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA_BOOTSTRAP", "kafka.example.net:9093")
    printed = CliRunner().invoke(topics, ["acls", *arguments])
    assert printed.exit_code == 0
    assert "payment.received.v1" in printed.output
    if arguments:
        assert "--bootstrap-server kafka.example.net:9093" in printed.output
        assert "--command-config /etc/kafka/a.properties" in printed.output


def test_printing_together_with_granting_is_refused() -> None:
    refused = CliRunner().invoke(topics, ["acls", "--commands", "--apply"])
    assert refused.exit_code == 2
    assert "give one of them" in refused.output


def test_commands_are_continued_on_lines_of_80_columns_and_mean_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA_BOOTSTRAP", "kafka.example.net:9093")
    printed = CliRunner().invoke(topics, ["acls", "--commands"]).output
    assert max(map(len, printed.splitlines())) <= 80
    joined = printed.replace("\\\n", "").splitlines()
    meant = commands("kafka.example.net:9093", "admin.properties")
    assert list(map(shlex.split, joined)) == list(map(shlex.split, meant))
    as_json = CliRunner().invoke(topics, ["acls", "--commands", "--json"])
    meant = commands("kafka.example.net:9093", "admin.properties")
    assert json.loads(as_json.output) == {"commands": list(meant)}
