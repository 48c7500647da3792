"""What a command says of a wrong input: what was given, what was expected, and what to do next.

Never a path or field of the API, and no sentence of a library.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from accounts.installation.servers import KnownServer, ServerList
from ringfence_cli.main import main_group
from tests.support.accounts import CARD, TOKEN, running_api
from tests.support.commands import Operator

FORBIDDEN = re.compile(
    r"/v1/|\b(?:PUT|POST|GET|PATCH|DELETE)\b|string_|Input should|String should|Field required"
    r"|Value error|validation error|pydantic|asyncpg|httpx|Errno|Traceback|\{\w+\}|\bloc\b"
    r"|NoneType|got None|ConnectError|JSONDecode|KeyError|An email address|@-sign|Idempotency-Key"
    r"|\b[a-z]+_(?:id|balance|threshold|limit|zone|name|service|ids)\b(?!=)"
)
NO_CLIENT = ("there is no client 'nobody'", "ringfence client list --search", "client set")


class Wrong(NamedTuple):
    """A command line, and the parts that its error has."""

    line: str
    parts: Sequence[str]


NEW = "client set new --first-name N --currency CAD"
PBX = "product set anna pbx-2 --kind fusionpbx --server wat5"
FIELDS = "--field extensions=2112 --field suspend_by=domain"
TENANT = "--field domain_tenant_and_main_dids=b.example|5195550100"
MAIL = "--email n@example.com"

REFUSED = [
    *(
        Wrong(line, NO_CLIENT)
        for line in (
            "client show nobody", "client history nobody", "product list nobody",
            f"product set nobody pbx-1 --kind fusionpbx --server wat5 {FIELDS} {TENANT}",
            "product show nobody pbx-1", "product remove nobody pbx-1 --yes", "topup nobody 5",
            "payments list nobody", "payments refund nobody key-1 5 --key back",
            "outstanding nobody 5", "suspend nobody", "unsuspend nobody", "services nobody",
            "services nobody --elements", "order add nobody manual", "order end nobody manual",
            "order list nobody", "calls nobody", "ledger nobody", "explain client nobody",
            "service reapply nobody pbx-1", "mode live --clients nobody --yes",
        )
    ),
    Wrong("product show anna pbx-9", ("no product 'pbx-9'", "ringfence client show anna")),
    Wrong("product remove anna pbx-9 --yes", ("no product 'pbx-9'", "ringfence client show")),
    Wrong("service reapply anna pbx-9", ("no product 'pbx-9'", "ringfence client show anna")),
    Wrong("suspend anna --product pbx-9", ("no product 'pbx-9'", "ringfence client show anna")),
    Wrong("order end anna manual", ("no order 'manual'", "has no manual order")),
    Wrong("package show gold", ("no package 'gold'", "ringfence package list")),
    Wrong(f"{PBX} {FIELDS} {TENANT} --package gold",
          ("--package: got 'gold'", "ringfence package list")),
    Wrong("tariff versions none", ("no tariff 'none'", "ringfence tariff import")),
    Wrong("tariff show none", ("no tariff 'none'", "ringfence tariff")),
    Wrong("tariff diff retail 1 9", ("no version '9'", "ringfence tariff versions retail")),
    Wrong("tariff rollback retail --to 9 --yes", ("no version '9'", "tariff versions retail")),
    Wrong("tariff map retail Colour=x", ("expected FIELD=COLUMN", "Prefix")),
    Wrong("server inventory none", ("no server 'none'", "ringfence server list")),
    Wrong("server compare none", ("no server 'none'", "ringfence server list")),
    Wrong("server pause none", ("no server 'none'", "ringfence server list")),
    Wrong("product set anna pbx-2 --kind fusionpbx --server none "
          f"{FIELDS} {TENANT}", ("--server: got 'none'", "wat5")),
    Wrong("payments refund anna nonsense 5 --key back",
          ("no payment 'nonsense'", "ringfence payments list anna")),
    Wrong("payments claim 1234 --reason x", ("1234", "ringfence payments unclaimed")),
    Wrong("mails show nonsense", ("nonsense", "ringfence mails")),
    Wrong("mails show 00000000-0000-0000-0000-000000000000", ("no mail", "ringfence mails")),
    Wrong("mails resend nonsense", ("nonsense", "ringfence mails")),
    Wrong("topup anna x", ("AMOUNT: got 'x'", "an amount such as 15")),
    Wrong("topup anna -5 --key k1", ("AMOUNT: got '-5'", "more than 0")),
    Wrong("topup anna 1.1234567 --key k2", ("AMOUNT: got '1.1234567'", "at most 6 decimals")),
    Wrong("topup anna 5 --key opening", ("--key: got 'opening'", "another key")),
    Wrong("topup anna x --key opening", ("2 values are refused", "--key: got", "AMOUNT: got 'x'")),
    Wrong("outstanding anna x", ("AMOUNT: got 'x'", "an amount such as 15")),
    Wrong("outstanding anna 5 --currency EUR", ("--currency: got 'EUR'", "CAD")),
    Wrong("outstanding anna 5 --as-of noon", ("--as-of", "'noon'", "2026-12-01T17:00")),
    Wrong("suspend anna --until noon", ("--until", "'noon'", "2026-12-01")),
    Wrong("suspend anna --until 2020-01-01", ("--until: got '2020-01-01'", "in the future")),
    Wrong("order add anna forced --product pbx-1", ("--product: got 'pbx-1'", "whole client")),
    Wrong(f"{NEW} --email anna", ("--email: got 'anna'", "one address such as", "it has no @")),
    Wrong(NEW, ("--email", "one address such as")),
    Wrong(f"{NEW} {MAIL} --time-zone Mars", ("--time-zone: got 'Mars'", "America/Toronto")),
    Wrong(f"{NEW} {MAIL} --low-balance-threshold much",
          ("Low Balance Threshold (--low-balance-threshold): got 'much'", "$15")),
    Wrong(f"{NEW} {MAIL} --credit-limit -5", ("--credit-limit: got '-5'", "0 or more")),
    Wrong(f"{NEW} {MAIL} --voip-suspended maybe",
          ("VoIP Suspended (--voip-suspended): got 'Maybe'", "'Yes', 'No' or 'None'")),
    Wrong(f"client set new --first-name N --currency cad {MAIL}",
          ("--currency: got 'cad'", "three capital letters")),
    Wrong("client set new --first-name N --currency cad --email a --language ?? --cc b",
          ("4 values are refused", "--currency:", "--email:", "--cc:", "--language:")),
    Wrong("client set anna --currency EUR", ("--currency: got 'EUR'", "kept in CAD")),
    Wrong("client set new --email a@example.com", ("--first-name", "--currency")),
    Wrong("client set anna", ("nothing to change", "ringfence client set --help")),
    Wrong("client set a/b --first-name N --currency CAD", ("got 'a/b', expected an id: letters",)),
    Wrong(f"{PBX} --field colour=red", ("colour", "no such field", "ringfence product fields")),
    Wrong(f"{PBX} --field extensions=x",
          ("2 values are refused", "Domain/Tenant and main DID(s) (--field domain_tenant_",
           "Extensions (--field extensions=…)", "is blank")),
    Wrong("package set gold tariff_id=retail inbound_enabled=x markup_percent=y",
          ("inbound_enabled: got 'x'", "markup_percent: got 'y'", "yes or no")),
    Wrong("package set gold colour=x", ("'colour=x'", "NAME=VALUE")),
    Wrong("package set gold inbound_enabled=yes", ("tariff_id is missing",)),
    Wrong("tariff import retail /no/such/file.csv --yes", ("/no/such/file.csv", "exist")),
    Wrong("tariff import fresh CARD --yes", ("--currency is missing", "such as CAD")),
    Wrong("tariff import retail CARD --currency EUR --yes", ("--currency: got 'EUR'", "CAD")),
    Wrong("tariff import retail EMPTY --yes", ("FILE", "header", "Description, Prefix")),
    Wrong("tariff import retail LATIN --yes", ("UTF-8",)),
    Wrong("tariff import retail BAD --yes", ("line 3", "RateValue", "'x'")),
    Wrong("tariff import retail FOLDER --yes", ("is a directory",)),
    Wrong("tariff show retail --prefix abc", ("--prefix: got 'abc'", "digits")),
]  # fmt: skip


def printed(*arguments: str, **environment: str) -> str:
    """What a refused command prints, after its command line."""
    result = CliRunner(env=environment).invoke(main_group, arguments)
    ended = f"[exit {result.exit_code}]" if result.exit_code else ""
    crash = (
        "" if isinstance(result.exception, SystemExit | None) else f"Traceback {result.exc_info}"
    )
    return f"$ ringfence {' '.join(arguments)}\n{result.output}{crash}{ended}\n"


@asynccontextmanager
async def _operator(dsn: str) -> AsyncIterator[Operator]:
    async with running_api(dsn, servers=_Servers()) as api:
        operator = Operator(api)
        await api.client()
        await operator.product("anna", "pbx-1")
        await api.import_card()
        yield operator


class _Servers:
    def read(self) -> ServerList:
        return ServerList((KnownServer("wat5", "fusionpbx", "https://wat5.example"),))


def _files(folder: Path) -> Mapping[str, str]:
    contents = {
        "CARD": CARD.encode(),
        "EMPTY": b"",
        "LATIN": CARD.replace("Canada", "Qu\xe9bec").encode("latin-1"),
        "BAD": CARD.replace(".008", "x").encode(),
    }
    for name, content in contents.items():
        (folder / f"{name}.csv").write_bytes(content)
    (folder / "a-folder").mkdir()
    return {
        "FOLDER": str(folder / "a-folder"),
        **{name: str(folder / f"{name}.csv") for name in contents},
    }


def problems_of(text: str, parts: Sequence[str]) -> list[str]:
    """What is wrong with the error of a command; `text` begins with its command line."""
    _, _, output = text.partition("\n")
    joined = " ".join(output.split())
    found = [f"lacks {part!r}" for part in parts if part not in joined]
    # The NAME of a NAME=VALUE is what the reader types.
    if bad := FORBIDDEN.search(re.sub(r"NAME one of .*|\w+(?:=|_id\b(?= is missing))", "", output)):
        found.append(f"has {bad.group()!r}")
    if "[exit " not in output:
        found.append("was not refused")
    return found


async def test_errors_are_in_the_words_of_the_reader(database: str, tmp_path: Path) -> None:
    files = _files(tmp_path)
    failures: list[str] = []
    async with _operator(database) as operator:
        settings = {"RINGFENCE_API": operator.api.url, "RINGFENCE_TOKEN": TOKEN}
        for line, parts in REFUSED:
            arguments = [files.get(each, each) for each in line.split()]
            text = await asyncio.to_thread(printed, *arguments, **settings)
            failures += [f"{problem}: {text}" for problem in problems_of(text, parts)]
    assert not failures, "\n".join(failures)


class _Answer(NamedTuple):
    status: int
    body: bytes


@contextmanager
def _other_server(answer: _Answer) -> Iterator[str]:
    """A server that gives every request the same answer; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_PUT = do_PATCH = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing: the test's output stays readable."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


LINES = ("client list", "client show anna", "topup anna 5 --key k", "mode", "order list")


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        (_Answer(200, b"<html>welcome</html>"), ("not ringfence's (200)", "RINGFENCE_API")),
        (_Answer(200, b"[]"), ("not ringfence's (200)", "RINGFENCE_API")),
        (_Answer(404, b"<html>no</html>"), ("not ringfence's (404)", "RINGFENCE_API")),
        (_Answer(404, b'{"detail": "Not Found"}'), ("not ringfence's (404)", "RINGFENCE_API")),
        (_Answer(500, b"oops"), ("not ringfence's (500)", "RINGFENCE_API")),
        (_Answer(502, b"Bad Gateway"), ("answered 502", "a proxy", "RINGFENCE_API")),
        (
            _Answer(
                500,
                b'{"error": {"field": "service", "value": null, "expected": "another request",'
                b' "message": "the service failed on this request; its log says why"}}',
            ),
            ("the service failed on this request", "its log"),
        ),
        (
            _Answer(
                404,
                b'{"error": {"field": "request", "value": null, "expected": "there is nothing at'
                b' this address", "message": "there is nothing at this address"}}',
            ),
            ("of another version", "ringfence --version"),
        ),
    ],
)
def test_an_answer_that_is_no_use_is_explained(answer: _Answer, parts: Sequence[str]) -> None:
    lines = LINES if "nothing at this" not in str(answer.body) else ("mode", "client list")
    with _other_server(answer) as url:
        for line in lines:
            text = printed(*line.split(), RINGFENCE_API=url, RINGFENCE_TOKEN=TOKEN)
            assert not problems_of(text, parts), text


@pytest.mark.parametrize(
    ("url", "token", "parts"),
    [
        ("http://127.0.0.1:9", TOKEN, ("no answer from http://127.0.0.1:9: nothing listens there",
                                       "make run", "RINGFENCE_API")),
        ("http://no-such-host.invalid", TOKEN, ("no answer from", "the name of the host")),
        ("127.0.0.1:8080", TOKEN, ("RINGFENCE_API: got '127.0.0.1:8080'", "http://")),
        ("http://a b", TOKEN, ("RINGFENCE_API", "http://")),
        ("http://[", TOKEN, ("http://[", "RINGFENCE_API")),
        ("ftp://pbx", TOKEN, ("RINGFENCE_API: got 'ftp://pbx'", "http://")),
        ("http://127.0.0.1:9", "tök", ("RINGFENCE_TOKEN", "ASCII")),
        ("http://127.0.0.1:9", "to ken", ("RINGFENCE_TOKEN", "without blanks")),
    ],
)  # fmt: skip
def test_an_api_that_is_not_reached_is_explained(
    url: str, token: str, parts: Sequence[str]
) -> None:
    for line in LINES:
        text = printed(*line.split(), RINGFENCE_API=url, RINGFENCE_TOKEN=token)
        assert not problems_of(text, parts), text


async def test_a_wrong_token_is_explained(database: str) -> None:
    async with running_api(database) as api:
        for line in LINES:
            text = await asyncio.to_thread(
                printed, *line.split(), RINGFENCE_API=api.url, RINGFENCE_TOKEN="wrong"
            )
            parts = ("does not know this token", "RINGFENCE_TOKEN", "RINGFENCE_ACCOUNTS_TOKENS")
            assert not problems_of(text, parts), text


async def test_a_change_without_an_answer_may_have_been_made() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = {"RINGFENCE_API": url, "RINGFENCE_TOKEN": TOKEN}
        changed = await asyncio.to_thread(
            printed, "package", "set", "gold", "tariff_id=retail", **settings
        )
        order = await asyncio.to_thread(printed, "order", "add", "anna", "manual", **settings)
    assert "may have been made" not in changed, "it only read so far"
    assert "no answer from" in changed
    assert "the change may have been made: look before you repeat it" in " ".join(order.split())


def test_no_address_and_no_token_say_which_setting_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RINGFENCE_API", "RINGFENCE_TOKEN", "RINGFENCE_STACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert "Set RINGFENCE_API" in printed("mode")
    assert "set RINGFENCE_TOKEN" in printed("mode", RINGFENCE_API="http://127.0.0.1:9")


def test_the_forbidden_words_are_found() -> None:
    for text in ("see GET /v1/alarms", "got None", "field account_id", "[Errno 111]", "{name}"):
        assert problems_of(f"$ x\n{text}\n[exit 2]\n", ()), text
