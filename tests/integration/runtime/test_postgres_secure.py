"""PostgreSQL by TLS with sslmode=verify-full: services, commands, and the error of each refusal."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from click.testing import CliRunner

from ringfence.postgres.command import database as database_command
from ringfence.postgres.migrate import migrate
from ringfence.postgres.roles import create_logins, login_of
from ringfence.secret_files import SERVICES
from ringfence.settings import CommonSettings
from ringfence_contracts.errors import EXIT_SETTINGS, EXIT_TEMPORARY
from ringfence_local.stack import MIGRATIONS, Stack
from tests.support.postgres_tls import PASSWORD, TlsPostgres

RATING = login_of("rating")
_CONNECTIONS = (
    "select distinct application_name, usename::text, ssl, rolsuper"
    " from pg_stat_activity join pg_stat_ssl using (pid) join pg_roles on rolname = usename"
    " where application_name like 'ringfence-%'"
)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPostgres]:
    """A server with TLS and the schema; logins of the services with passwords in `logins`."""
    server = TlsPostgres(tmp_path_factory.mktemp("postgres-tls"))
    server.start()
    try:
        owner = as_owner(server)
        asyncio.run(migrate(owner, MIGRATIONS))
        asyncio.run(create_logins(owner, server.folder / "logins"))
        yield server
    finally:
        server.stop()


def as_owner(server: TlsPostgres) -> str:
    return CommonSettings(
        postgres_dsn=server.dsn(), postgres_password_file=server.folder / "password"
    ).postgres_dsn.get_secret_value()


def environment(dsn: str, password_file: Path, **more: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
        "RINGFENCE_POSTGRES_DSN": dsn,
        "RINGFENCE_POSTGRES_PASSWORD_FILE": str(password_file),
        **more,
    }


def said_by(stack: Stack) -> Iterator[str]:
    """What each service shows of itself while it runs."""
    for service in SERVICES:
        pid = stack.supervisor.pid(service)
        yield Path(f"/proc/{pid}/cmdline").read_text()
        yield Path(f"/proc/{pid}/environ").read_text()
        for path in ("health", "metrics"):
            place = f"http://127.0.0.1:{stack.ports[f'{service}-health']}/{path}"
            yield httpx.get(place, trust_env=False).text


def ran(*words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """A module of ours, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, timeout=60, check=False,
        **settings,
    )  # fmt: skip


def test_all_services_and_commands_by_verify_full(
    secured: TlsPostgres, own_kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each by TLS and its own login; and no password is shown by any of them."""
    for name, value in environment(secured.dsn(), secured.folder / "password").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RINGFENCE_KAFKA_BOOTSTRAP", own_kafka_bootstrap)
    logins, folder = tmp_path / "logins", tmp_path / "state"
    shown: list[str] = []

    async def while_all_run() -> None:
        async with Stack(folder, logins=logins, wanted_ports={}) as stack:
            owner = await asyncpg.connect(stack.dsn)
            found = {row[0]: tuple(row)[1:] for row in await owner.fetch(_CONNECTIONS)}
            await owner.close()
            assert found == {f"ringfence-{s}": (login_of(s), True, False) for s in SERVICES}
            shown.extend(await asyncio.to_thread(lambda: list(said_by(stack))))

    asyncio.run(while_all_run())
    by_operator = environment(
        secured.dsn("ringfence_operator_login"), logins / "operator" / "postgres-password"
    )
    verified = ran(
        "ringfence_cli.main", "database", "verify", "--wait=0", "--json", env=by_operator
    )
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["holds"] is True
    shown += [verified.stdout, verified.stderr, secured.log()]
    shown += [path.read_text() for path in (folder / "logs").iterdir()]
    passwords = {path.read_text().strip() for path in logins.glob("*/postgres-password")}
    assert len(passwords) == 7
    for password in {PASSWORD, *passwords}:
        assert [text[:200] for text in shown if password in text] == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ca": "stranger.pem"}, "stranger.pem: unable to get local issuer certificate: check"
         " sslrootcert in RINGFENCE_POSTGRES_DSN"),
        ({"host": "localhost"}, "mismatch, certificate is not valid for 'localhost'.: check"
         " sslrootcert in RINGFENCE_POSTGRES_DSN, and that the certificate names this host"),
        ({"mode": "disable"}, "no encryption: set sslmode=verify-full and sslrootcert=… in"
         " RINGFENCE_POSTGRES_DSN"),
    ],
    ids=["authority", "host", "plain text"],
)  # fmt: skip
def test_a_service_reports_at_its_start_why_it_does_not_trust(
    secured: TlsPostgres, changed: dict[str, str], says: str
) -> None:
    password = secured.folder / "logins" / "rating" / "postgres-password"
    ended = ran("rating", env=environment(secured.dsn(RATING, **changed), password))
    assert ended.returncode == EXIT_TEMPORARY, ended.stderr
    assert says in reason_of(ended)
    assert password.read_text().strip() not in ended.stdout + ended.stderr


def test_a_service_reports_at_its_start_that_its_password_is_wrong(secured: TlsPostgres) -> None:
    wrong = secured.folder / "wrong"
    wrong.write_text("wrong0password0of0mine")
    ended = ran("rating", env=environment(secured.dsn(RATING), wrong))
    assert ended.returncode == EXIT_TEMPORARY, ended.stderr
    assert f"refuses the password of {RATING}: check the login in" in reason_of(ended)
    assert "RINGFENCE_POSTGRES_PASSWORD_FILE" in reason_of(ended)
    assert "wrong0password" not in ended.stdout + ended.stderr + secured.log()


def reason_of(ended: subprocess.CompletedProcess[str]) -> str:
    """The last line of a service's log says why it ended."""
    last = json.loads((ended.stdout + ended.stderr).strip().splitlines()[-1])
    assert last["level"] == "error"
    assert "Traceback" not in ended.stdout + ended.stderr
    return str(last["reason"])


@pytest.mark.parametrize(("name", "content"), [("missing.pem", None), ("empty.pem", "")])
def test_an_unusable_file_of_authorities_is_a_wrong_setting(
    secured: TlsPostgres, name: str, content: str | None
) -> None:
    if content is not None:
        (secured.folder / name).write_text(content)
    ended = ran(
        "rating", env=environment(secured.dsn(RATING, ca=name), secured.folder / "password")
    )
    assert ended.returncode == EXIT_SETTINGS
    assert "RINGFENCE_POSTGRES_DSN: sslrootcert=" in ended.stderr
    assert f"{name} cannot be used" in ended.stderr
    assert PASSWORD not in ended.stderr


@pytest.mark.parametrize("words", [("migrate",), ("logins",)])
def test_a_command_does_not_wait_when_the_login_fails(
    secured: TlsPostgres, tmp_path: Path, words: tuple[str]
) -> None:
    folder = str(MIGRATIONS if words == ("migrate",) else tmp_path)
    given = environment(secured.dsn(ca="stranger.pem"), secured.folder / "password")
    done = CliRunner().invoke(database_command, [*words, "--folder", folder], env=given)
    assert done.exit_code == 1
    assert "check sslrootcert in RINGFENCE_POSTGRES_DSN" in done.output


def test_the_doctor_says_which_setting_to_check(secured: TlsPostgres, tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text("[servers]\n")
    given = environment(
        secured.dsn(host="localhost"), secured.folder / "password",
        RINGFENCE_SERVERS_FILE=str(tmp_path / "servers.toml"), RINGFENCE_KAFKA_BOOTSTRAP="[::1]:1",
    )  # fmt: skip
    done = ran("ringfence_cli.main", "doctor", "--here", "--json", env=given)
    (found,) = (f for f in json.loads(done.stdout) if f["subject"] == "PostgreSQL")
    assert found["state"] == "fail"
    assert "mismatch" in found["said"]
    assert "RINGFENCE_POSTGRES_DSN" in found["do"]


def test_a_server_without_tls_is_reported(secured: TlsPostgres, postgres_server: str) -> None:
    """The embedded one, by a URL that asks for verify-full."""
    ca = secured.folder / "ca.pem"
    given = {"RINGFENCE_POSTGRES_DSN": f"{postgres_server}?sslmode=verify-full&sslrootcert={ca}"}
    done = CliRunner().invoke(database_command, ["migrate", f"--folder={MIGRATIONS}"], env=given)
    assert done.exit_code == 1
    assert "has no TLS, and sslmode=verify-full asks for it" in done.output
