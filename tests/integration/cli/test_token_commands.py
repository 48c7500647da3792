"""`ringfence token`: tokens are created, listed, rotated and revoked; refusals name the command."""

from collections.abc import AsyncIterator

import pytest

from ringfence_cli.access.token import token
from ringfence_cli.main import main_group
from tests.support.accounts import running_api
from tests.support.commands import Operator


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        yield Operator(api)


async def test_a_token_is_shown_once_and_alone(operator: Operator) -> None:
    assert "No tokens but those" in await operator.output(token, "list")
    made = await operator.run(
        token, "create", "desk", "--scope", "read", "--scope", "operate", "--server", "pbx1",
        "--until", "2999-01-31",
    )  # fmt: skip
    secret = made.stdout.strip()
    assert secret.startswith("rf_")
    assert "desk may operate, read on pbx1 until 2999-01-31" in " ".join(made.stderr.split())
    listed = await operator.output(token, "list")
    assert "operates pbx1 alone; never used; created by tester" in listed
    assert secret not in listed
    assert secret not in await operator.output(token, "list", "--json")
    found = await operator.run(main_group, "client", "list", RINGFENCE_TOKEN=secret)
    assert "No clients" in found.output


async def test_a_token_is_rotated_and_revoked(operator: Operator) -> None:
    made = await operator.json(token, "create", "desk", "--scope", "read")
    short = made["token_id"][:8]
    rotated = await operator.output(token, "rotate", short, "--overlap", "600")
    assert "The old one ends 20" in rotated
    revoked = await operator.output(token, "revoke", short)
    assert "The token of desk was revoked by tester" in revoked
    used = await operator.run(
        main_group, "client", "list", RINGFENCE_TOKEN=made["secret"], status=2
    )
    assert "or it has ended" in " ".join(used.output.split())
    assert short not in await operator.output(token, "list")
    assert "revoked by tester" in await operator.output(token, "list", "--all")
    changes = await operator.json(token, "history")
    assert [change["what"] for change in changes] == ["revoked", "rotated", "created", "created"]
    assert "rotated" in await operator.output(token, "history")


async def test_a_refusal_names_the_command_and_what_to_ask_for(operator: Operator) -> None:
    await operator.api.client("anna")
    made = await operator.json(token, "create", "desk", "--scope", "read")
    refused = await operator.run(
        main_group, "topup", "anna", "5",
        RINGFENCE_TOKEN=made["secret"], status=2,
    )  # fmt: skip
    text = " ".join(refused.output.split())
    assert "this token may read; `ringfence topup` needs money" in text
    assert "`ringfence token create NAME --scope money`" in text


async def test_what_cannot_be_is_refused_in_the_words_of_the_command(operator: Operator) -> None:
    refused = await operator.output(
        token, "create", "desk", "--scope", "read", "--server", "pbx1", status=2
    )
    assert "--server" in refused
    assert "they limit the scope operate" in refused
    past = await operator.output(
        token, "create", "desk", "--scope", "read", "--until", "2020-01-01", status=2
    )
    assert "--until" in past
