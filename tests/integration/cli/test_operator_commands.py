"""`ringfence operator`: who logs in, created and changed; a password is never an argument."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ringfence_cli.access.operator import operator as group
from ringfence_cli.access.token import token
from tests.support.accounts import TOKEN, running_api
from tests.support.commands import Operator

PASSWORD = "correct horse battery"
TYPED = f"{PASSWORD}\n{PASSWORD}\n"


@pytest.fixture
async def operator(database: str) -> AsyncIterator[Operator]:
    async with running_api(database) as api:
        yield Operator(api)


async def login(operator: Operator, body: dict[str, str]) -> int:
    async with httpx.AsyncClient(base_url=operator.api.url, timeout=60) as http:
        return (await http.post("/v1/sessions", json=body)).status_code


async def test_an_operator_is_created_changed_and_disabled(operator: Operator) -> None:
    assert "No operators" in await operator.output(group, "list")
    scopes = ("--scope", "read", "--scope", "operate", "--server", "pbx1")
    made = await operator.run(group, "create", "anna", *scopes, typed=TYPED)
    assert "anna may operate, read on pbx1." in made.output
    assert PASSWORD not in made.output
    assert await login(operator, {"name": "anna", "password": PASSWORD}) == 201
    listed = await operator.output(group, "list")
    assert "anna enabled operate, read password" in listed
    assert "operates pbx1 alone; logged in last 20" in listed
    assert "; created by tester" in listed
    changed = await operator.output(group, "change", "anna", "--all-servers")
    assert "anna may operate, read." in changed
    assert "anna may money." in await operator.output(group, "change", "anna", "--scope", "money")
    assert "all tokens are revoked" in await operator.output(group, "disable", "anna")
    assert await login(operator, {"name": "anna", "password": PASSWORD}) == 401
    assert "anna may money." in await operator.output(group, "enable", "anna")
    assert await login(operator, {"name": "anna", "password": PASSWORD}) == 201
    changes = await operator.json(group, "history")
    assert [change["what"] for change in changes] == [
        "enabled", "disabled", "changed", "changed", "created",
    ]  # fmt: skip
    assert "disabled" in await operator.output(group, "history")


async def test_a_password_is_read_from_a_file(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\r\nsecond line\n")
    option = ("--password-file", str(file))
    await operator.output(group, "create", "anna", "--scope", "read", *option)
    assert await login(operator, {"name": "anna", "password": PASSWORD}) == 201
    file.write_text("another horse battery")
    changed = await operator.output(group, "password", "anna", *option)
    assert "anna has a new password" in changed
    assert await login(operator, {"name": "anna", "password": PASSWORD}) == 401
    assert await login(operator, {"name": "anna", "password": "another horse battery"}) == 201
    file.write_text("too-short")
    refused = await operator.output(group, "password", "anna", *option, status=2)
    assert "12" in refused
    assert "too-short" not in refused


async def test_a_link_leads_to_the_console(operator: Operator) -> None:
    await operator.output(group, "create", "anna", "--scope", "read", "--no-password")
    assert "links" in await operator.output(group, "list")
    made = await operator.run(group, "link", "anna")
    address, _, secret = made.stdout.strip().partition("#")
    assert address == "http://127.0.0.1:8081/login"
    assert "anna logs in by this link, once, until" in " ".join(made.stderr.split())
    assert await login(operator, {"link": secret}) == 201
    assert await login(operator, {"link": secret}) == 401
    elsewhere = await operator.run(
        group, "link", "anna", "--json", RINGFENCE_CONSOLE_URL="https://console.example.net/"
    )
    address = json.loads(elsewhere.stdout)["link"]
    assert address.startswith("https://console.example.net/login#rf_login_")
    wrong = await operator.run(
        group, "link", "anna", RINGFENCE_CONSOLE_URL="console.example.net", status=2
    )
    assert "RINGFENCE_CONSOLE_URL: got 'console.example.net'" in wrong.output


async def test_a_link_leads_to_the_console_of_the_stack_that_runs_here(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operator.output(group, "create", "anna", "--scope", "read", "--no-password")
    stack = tmp_path / ".ringfence"
    stack.mkdir(mode=0o700)
    ports = {"accounts": urlsplit(operator.api.url).port, "console": 18081}
    (stack / "tokens").write_text(f"local:{TOKEN}\n")
    content = {"ports": ports, "tokens_file": str(stack / "tokens")}
    (stack / "stack.json").write_text(json.dumps(content))
    (stack / "stack.json").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    made = await operator.run(group, "link", "anna", "--json", RINGFENCE_API="", RINGFENCE_TOKEN="")
    assert json.loads(made.stdout)["link"].startswith("http://127.0.0.1:18081/login#rf_login_")


async def test_disabling_an_operator_revokes_his_tokens(operator: Operator) -> None:
    await operator.output(group, "create", "anna", "--scope", "read", "--no-password")
    made = await operator.json(token, "create", "anna", "--scope", "money")
    await operator.output(group, "disable", "anna")
    used = await operator.run(group, "list", RINGFENCE_TOKEN=made["secret"], status=2)
    assert "or it has ended" in " ".join(used.output.split())
    (revoked, created) = await operator.json(token, "history")
    assert (revoked["what"], created["what"]) == ("revoked", "created")
    refused = await operator.output(token, "create", "anna", "--scope", "read", status=2)
    assert "`ringfence operator enable anna` first" in refused


async def test_what_cannot_be_is_refused_in_the_words_of_the_command(operator: Operator) -> None:
    unknown = await operator.output(group, "link", "nobody", status=2)
    assert "`ringfence operator list` lists those that exist" in unknown
    create = ("create", "anna", "--scope", "read", "--no-password")
    await operator.output(group, *create)
    assert "it exists" in await operator.output(group, *create, status=2)
    servers = await operator.output(group, "change", "anna", "--server", "pbx1", status=2)
    assert "they limit the scope operate" in servers
    nothing = await operator.output(group, "change", "anna", status=2)
    assert "--all-servers" in nothing
