"""`ringfence template` and `ringfence webhooks`: check, preview, send, list, log."""

import asyncio
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from notifier.command import template
from notifier.merge_fields import THRESHOLD
from notifier.operator.command import webhooks
from ringfence_contracts.errors import BadInput
from ringfence_local.mail.inbox import Inbox

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with settings of its own; a refusal raises."""

    def invoke(group: Any, *arguments: str, **settings: str) -> Result:
        for name, value in settings.items():
            monkeypatch.setenv(f"RINGFENCE_{name}", value)
        result = CliRunner().invoke(group, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def sql(dsn: str, *statements: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(dsn)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(execute())


def known_client(dsn: str) -> None:
    sql(
        dsn,
        "insert into notifier.account (account_id, version, first_name, last_name, company_name,"
        " email, wants_mail, low_balance_threshold, threshold_micro, language)"
        " values ('anna', 1, 'Anna', '<b>Berg</b>', '', 'anna@example.net', true, '$15', 15000000,"
        " 'fr')",
        "insert into rating.account (account_id, currency, balance_micro) values"
        " ('anna', 'CAD', 7500000)",
        "insert into balance_watch.account (account_id, currency, outstanding_micro,"
        " profile_version, balance_micro, balance_version, level)"
        " values ('anna', 'CAD', 16880000, 1, 7500000, 1, 'low')",
    )


def test_check_shows_a_template_with_sample_values_and_warns(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "Low Balance Alert.tpl"
    file.write_text(f"Subject: For {{$client_id}}\n\nat $ {{${THRESHOLD}}}.00 <b>now</b>")
    result = run(template, "check", str(file), "--html")
    assert result.exit_code == 0
    assert "Subject: For 1042" in result.output
    assert "at $ 15.00 now" in result.output
    assert "<b>now</b>" in result.output
    assert "Low Balance Alert: line 3: " in result.stderr


def test_check_refuses_what_the_service_would_and_suggests_names(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "Low Balance.tpl"
    file.write_text("{$client_id}")
    assert "the service looks for 'Low Balance Alert'" in run(template, "check", str(file)).stderr
    file.write_text("Subject: s\n\n{foreach $x}")
    with pytest.raises(BadInput, match="line 3"):
        run(template, "check", str(file))


def test_check_without_a_file_checks_all_templates_to_be_loaded(tmp_path: Path, run: Run) -> None:
    for name in ("Low Balance Alert", "VoIP Zero Balance"):
        (tmp_path / f"{name}.tpl").write_text("{$client_credit} CAD")
    result = run(template, "check", NOTIFIER_TEMPLATES_DIR=str(tmp_path))
    assert "en: Low Balance Alert: accepted (own)" in result.output
    assert "fr: VoIP Restored: accepted (packaged)" in result.output
    assert " ".join(result.stderr.split()).count("the sign is behind the field") == 2


def test_preview_shows_the_mails_of_a_client_as_of_now(
    database: str, tmp_path: Path, run: Run
) -> None:
    known_client(database)
    result = run(
        template, "preview", "--client", "anna", "--template", "VoIP Zero Balance",
        "--out", str(tmp_path),
        POSTGRES_DSN=database, NOTIFIER_COMPANY="Maple Voice",
        NOTIFIER_PAY_LINK="https://pay.example.net",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "Bonjour Anna <b>Berg</b>," in result.output
    assert "Crédit : 7,50\xa0$" in result.output
    assert "Factures impayées : 16,88\xa0$ CAD" in result.output
    page = (tmp_path / "voip-zero-balance.html").read_text(encoding="utf-8")
    assert "Anna &lt;b&gt;Berg&lt;/b&gt;" in page
    assert "Maple Voice" in page
    english = run(template, "preview", "--client", "anna", "--language", "en", "--not-off")
    assert "Calls will be switched off" in english.output
    with pytest.raises(BadInput, match="nobody"):
        run(template, "preview", "--client", "nobody")
    with pytest.raises(BadInput, match="en, fr"):
        run(template, "preview", "--language", "de")


def test_send_mails_the_given_address_and_records_nothing(
    database: str, inbox: Inbox, run: Run
) -> None:
    known_client(database)
    server = {"NOTIFIER_SMTP_PORT": str(inbox.port), "NOTIFIER_SENDER": "billing@example.org"}
    result = run(
        template, "send", "--to", "me@example.com", "--client", "anna", "--template",
        "low balance alert", POSTGRES_DSN=database, **server,
    )  # fmt: skip
    assert "Low Balance Alert: sent to me@example.com" in result.output
    (mail,) = inbox.messages()
    assert mail["To"] == "me@example.com"
    assert str(mail["Subject"]).startswith("[test] Solde bas")
    with pytest.raises(BadInput, match="--to"):
        run(template, "send", "--to", "not an address")
    with pytest.raises(BadInput, match="refuse-550"):
        run(template, "send", "--to", "refuse-550@example.com")
    with pytest.raises(BadInput, match="SMTP_HOST"):
        run(template, "send", "--to", "me@example.com", NOTIFIER_SMTP_PORT="1")


class Answers(BaseHTTPRequestHandler):
    """Answers 200, and 500 below /bad; stores the bodies."""

    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(500 if self.path.startswith("/bad") else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []
    handler = type("Handler", (Answers,), {"bodies": bodies})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()
        thread.join()


def test_webhooks_are_listed_tested_and_their_log_is_shown(
    database: str, tmp_path: Path, run: Run, receiver: tuple[str, list[bytes]]
) -> None:
    url, bodies = receiver
    file = tmp_path / "webhooks.toml"
    file.write_text(
        f'[[webhook]]\nname = "crm"\nurl = "{url}/?token=hidden"\nsecret_env = "CRM"\n'
        f'[[webhook]]\nname = "bad"\nurl = "{url}/bad"\nsecret_env = "CRM"\n'
        'events = ["balance.*"]\n'
    )
    settings = {"NOTIFIER_WEBHOOKS_FILE": str(file), "POSTGRES_DSN": database}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRM", "a secret for tests, long enough")
        listed = run(webhooks, "list", **settings).output
        assert "crm" in listed
        assert "balance.*" in listed
        assert "hidden" not in listed
        assert run(webhooks, "test", "crm").output == "crm: answered 200\n"
        assert json.loads(bodies[0])["type"] == "test"
        with pytest.raises(BadInput, match="answered 500"):
            run(webhooks, "test", "bad")
        with pytest.raises(BadInput, match="crm, bad"):
            run(webhooks, "test", "erp")
    sql(
        database,
        "insert into notifier.channel values ('webhook', 'crm', now())",
        "insert into notifier.delivery (delivery_id, kind, channel, event_type, event_id, subject,"
        " body, state, attempts, next_attempt_at, last_status, last_error, occurred_at, created_at)"
        " values (gen_random_uuid(), 'webhook', 'crm', 'balance.zero', gen_random_uuid(), 'anna',"
        " '{}', 'failed', 9, now(), 503, 'answered 503: later', now(), now())",
    )
    (row,) = json.loads(run(webhooks, "log", "--state", "failed", "--json").output)
    assert (row["webhook"], row["last_status"], row["attempts"]) == ("crm", 503, 9)
    assert "body" not in row
    assert json.loads(run(webhooks, "log", "--webhook", "bad", "--json").output) == []
    assert "balance.zero" in run(webhooks, "log").output
