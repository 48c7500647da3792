"""Failures of an SMTP server: a mail is sent once or is in doubt; other mails are not affected."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from notifier.settings import Settings
from ringfence.postgres.pool import Pool, open_pool
from ringfence_contracts.errors import BadInput
from ringfence_contracts.topics import ACCOUNT_CHANGED, BALANCE_LOW, NOTIFIER_ALARM
from ringfence_testing.wait import until
from tests.support.notifier import NotifierHarness, account, low
from tests.support.smtp import HANG_UP, SILENT, ScriptedSmtp, certificate, running

ROOT = Path(__file__).parents[3]
DATA_S = 0.5


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, service="notifier", size=10)
    yield pool
    await pool.close()


async def owe(harness: NotifierHarness, mails: int = 1) -> None:
    """Queue alerts to this many clients."""
    for number in range(1, mails + 1):
        client = {"account_id": f"n-{number}"}
        changed = account(client={"email": f"n-{number}@example.net"})
        await harness.handle(ACCOUNT_CHANGED, changed.model_copy(update=client))
        await harness.handle(BALANCE_LOW, low(1, stay=1, **client), UUID(int=number))


async def open_alarms(harness: NotifierHarness) -> list[asyncpg.Record]:
    return await harness.pool.fetch(
        "select key, subject, message, what_to_do from report.alarm where ended_at is null"
    )


def failed_times(harness: NotifierHarness, times: int) -> Callable[[], bool]:
    """Whether the server was unusable `times` times; advances the clock to each next probe.

    The clock advances once for each failure, because a probe in progress moves the next one.
    """
    passed: set[int] = set()

    def has_failed() -> bool:
        failures = harness.breaker.failures
        if failures < times and harness.breaker.is_open and failures not in passed:
            passed.add(failures)
            harness.clock.set(max(harness.clock.now(), harness.breaker.next_probe_at))
        return failures >= times

    return has_failed


MODES: dict[str, tuple[dict[str, list[str]], str, int]] = {
    "accepted": ({}, "sent", 1),
    "recipient unknown": ({"RCPT": ["550 no such user"]}, "failed", 0),
    "530 for one recipient": ({"RCPT": ["530 5.7.1 not for this one"]}, "failed", 0),
    "later": ({"RCPT": ["451 later"]}, "sent", 1),
    "252": ({"RCPT": ["252 will try"]}, "sent", 1),
    "no at DATA": ({"DATA": ["554 no valid recipients"]}, "failed", 0),
    "later at DATA": ({"DATA": ["451 later"]}, "sent", 1),
    "hangs up at MAIL": ({"MAIL": [HANG_UP]}, "sent", 1),
    "hangs up before 354": ({"DATA": [HANG_UP]}, "sent", 1),
    "refused after the text": ({"TEXT": ["554 spam"]}, "failed", 0),
    "later after the text": ({"TEXT": ["452 full"]}, "sent", 1),
    "hangs up after the text": ({"TEXT": [HANG_UP]}, "in-doubt", 1),
    "silent after the text": ({"TEXT": [SILENT]}, "in-doubt", 1),
    "nonsense after the text": ({"TEXT": ["hello there", "250 OK"]}, "in-doubt", 0),
    "421 after the text": ({"TEXT": ["421 closing"]}, "sent", 1),
    "421 after each mail": ({"AFTER": ["421 one mail only"]}, "sent", 1),
}


@pytest.mark.parametrize("mode", MODES)
async def test_each_failure_sends_one_mail_or_none_and_the_next_is_sent(
    pool: Pool, mode: str
) -> None:
    answers, state, mails = MODES[mode]
    async with running(ScriptedSmtp(answers={k: [*v] for k, v in answers.items()})) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness)
        async with harness.at_work(data_s=DATA_S):
            await until(partial(_settled, harness, state), what=f"{mode}: {state}")
            await harness.alarm()
            await harness.wait_for_states(state, "sent")
    ids = server.ids()
    assert len(ids) == len(set(ids)) == mails + 1


async def _settled(harness: NotifierHarness, state: str) -> bool:
    """Whether the only mail is in this state; each call advances the clock to the next attempt."""
    (row,) = await harness.rows()
    if row["state"] == "waiting" and row["next_attempt_at"]:
        harness.clock.set(max(harness.clock.now(), row["next_attempt_at"]))
    return bool(row["state"] == state)


@pytest.mark.parametrize("step", ["GREETING", "MAIL", "RCPT", "DATA", "TEXT", "AFTER"])
@pytest.mark.parametrize("mode", ["accepted", "later after the text"])
async def test_a_sender_that_is_killed_at_any_step_sends_no_mail_twice(
    pool: Pool, database: str, step: str, mode: str
) -> None:
    """kill -9 when the server reads that step: before the text it is sent later, then in doubt."""
    answers = {k: [*v] for k, v in MODES[mode][0].items()}
    async with running(ScriptedSmtp(answers=answers)) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.sender_process", database, str(server.port)),
            cwd=ROOT,
            stdout=asyncio.subprocess.DEVNULL,
        )

        def kill(at: str) -> None:
            if at == step and process.returncode is None:
                os.kill(process.pid, signal.SIGKILL)
                server.at_step = lambda _: None

        server.at_step = kill
        await asyncio.wait_for(process.wait(), 240)
        async with harness.at_work():
            await until(partial(_recovered, harness), what=f"killed at {step}")
    states = await harness.states()
    assert len(server.taken) <= 1
    assert states == (["in-doubt"] if step in ("TEXT", "AFTER") else ["sent"])


async def _recovered(harness: NotifierHarness) -> bool:
    await harness.recovery().recover()
    return await _settled(harness, "sent") or await _settled(harness, "in-doubt")


async def test_sw22_a_recipient_refused_with_530_does_not_stop_other_mails(pool: Pool) -> None:
    async with running(ScriptedSmtp(answers={"RCPT": ["530 5.7.1 no"]})) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness, mails=3)
        async with harness.at_work():
            await harness.wait_for_states("failed", "sent", "sent")
        assert not harness.breaker.is_open
        assert await open_alarms(harness) == []
    failed = next(row for row in await harness.rows() if row["state"] == "failed")
    assert failed["last_error"] == "530 5.7.1 no"
    assert failed["attempts"] == 1


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("553 5.7.1 sender rejected", "smtp-sender-refused"),
        ("550 no such sender", "smtp-sender-refused"),
        ("530 log in first", "smtp-login-refused"),
    ],
)
async def test_sw23_a_refused_sender_raises_an_alarm_and_fails_no_mail(
    pool: Pool, answer: str, key: str
) -> None:
    async with running(ScriptedSmtp(answers={"MAIL": [answer] * 3})) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness, mails=2)
        async with harness.at_work():
            await until(failed_times(harness, 2))
            (alarm,) = await open_alarms(harness)
            assert (alarm["key"], alarm["subject"]) == (key, f"127.0.0.1:{server.port}")
            assert answer in alarm["message"]
            assert {row["attempts"] for row in await harness.rows()} == {0}
            assert await harness.states() == ["waiting", "waiting"]
            await until(failed_times(harness, 3))
            harness.clock.set(harness.breaker.next_probe_at)
            await harness.wait_for_states("sent", "sent")
        assert await open_alarms(harness) == []
    events = [event["topic"] for event in await harness.events()]
    assert events.count(NOTIFIER_ALARM.name) == 2, "raised once, ended once"


async def test_a_refused_login_raises_an_alarm_and_mails_wait(pool: Pool) -> None:
    server = ScriptedSmtp(answers={"AUTH": ["535 5.7.8 bad password"] * 2}, offers=("AUTH PLAIN",))
    async with running(server):
        harness = NotifierHarness(pool, server.port)
        await owe(harness)
        async with harness.at_work(user="u", password="wrong"):
            await until(failed_times(harness, 2))
            (alarm,) = await open_alarms(harness)
            assert alarm["key"] == "smtp-login-refused"
            assert "wrong" not in alarm["message"]
            harness.clock.set(harness.breaker.next_probe_at)
            await harness.wait_for_states("sent")
        assert await open_alarms(harness) == []


async def test_an_unreachable_server_raises_an_alarm_after_three_attempts(pool: Pool) -> None:
    harness = NotifierHarness(pool, 1)
    await owe(harness)
    async with harness.at_work():
        await until(failed_times(harness, 2))
        assert await open_alarms(harness) == []
        await until(failed_times(harness, 3))
        await until(partial(open_alarms, harness))
    (alarm,) = await open_alarms(harness)
    assert alarm["key"] == "smtp-unreachable"


async def test_sw30_starttls_is_used_where_it_is_offered(pool: Pool, tmp_path: Path) -> None:
    tls, _ = await certificate(tmp_path, "127.0.0.1")
    server = ScriptedSmtp(offers=("STARTTLS", "AUTH PLAIN"), tls=tls)
    async with running(server):
        harness = NotifierHarness(pool, server.port)
        await owe(harness)
        async with harness.at_work(user="u", password="p"):
            await harness.wait_for_states("sent")
    assert server.logins == ["encrypted"]


def own_address() -> str:
    """A non-loopback address of this machine; skips the test if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        pytest.skip("this machine has no address but its loopback")
    return address


async def test_sw30_no_password_is_sent_unencrypted_beyond_this_machine(pool: Pool) -> None:
    server = ScriptedSmtp(offers=("AUTH PLAIN",), host=own_address())
    async with running(server):
        harness = NotifierHarness(pool, server.port)
        await owe(harness)
        async with harness.at_work(host=server.host, user="u", password="p"):
            await until(failed_times(harness, 1))
            (alarm,) = await until(partial(open_alarms, harness))
    assert server.logins == []
    assert alarm["key"] == "smtp-login-refused"
    assert "STARTTLS" in alarm["message"]


async def test_a_certificate_is_verified_beyond_this_machine(pool: Pool, tmp_path: Path) -> None:
    host = own_address()
    tls, authority = await certificate(tmp_path, host)
    server = ScriptedSmtp(offers=("STARTTLS", "AUTH PLAIN"), tls=tls, host=host)
    async with running(server):
        harness = NotifierHarness(pool, server.port)
        await owe(harness)
        async with harness.at_work(host=host, user="u", password="p"):
            await until(failed_times(harness, 1))
        assert server.logins == []
        harness.clock.set(harness.breaker.next_probe_at)
        async with harness.at_work(host=host, user="u", password="p", ca_file=authority):
            await harness.wait_for_states("sent")
    assert server.logins == ["encrypted"]


def test_settings_that_would_send_a_password_unencrypted_are_rejected() -> None:
    clear: dict[str, Any] = {"notifier_smtp_tls": "none", "notifier_smtp_user": "u"}
    with pytest.raises(BadInput, match="in clear"):
        Settings(notifier_smtp_host="mail.example.net", **clear).smtp_server()
    assert Settings(notifier_smtp_host="127.0.0.1", **clear).smtp_server().tls == "none"
    assert Settings(notifier_smtp_host="mail.example.net").smtp_server().tls == "offered"


async def test_sw30_all_mails_are_sent_by_a_server_that_accepts_one_per_connection(
    pool: Pool,
) -> None:
    """421 after each mail: the server closes the connection, and no mail fails."""
    async with running(ScriptedSmtp(answers={"AFTER": ["421 one mail only"] * 9})) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness, mails=10)
        async with harness.at_work():
            await harness.wait_for_states(*["sent"] * 10)
        assert not harness.breaker.is_open
    assert {row["attempts"] for row in await harness.rows()} == {1}
    assert len(set(server.ids())) == len(server.taken) == 10


async def test_mails_wait_unchanged_for_a_server_at_its_limit(pool: Pool) -> None:
    """421 or 4xx at MAIL on a new connection: one probe at a time, without counting attempts."""
    busy = {"GREETING": ["421 too many connections"], "MAIL": ["451 too fast", "421 slow down"]}
    async with running(ScriptedSmtp(answers=busy)) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness, mails=5)
        async with harness.at_work(senders=2):
            await until(failed_times(harness, 3))
            assert {row["attempts"] for row in await harness.rows()} == {0}
            harness.clock.set(harness.breaker.next_probe_at)
            await harness.wait_for_states(*["sent"] * 5)
    assert {row["attempts"] for row in await harness.rows()} == {1}


async def test_d15_a_hang_up_before_the_text_is_not_in_doubt(pool: Pool) -> None:
    async with running(ScriptedSmtp(answers={"DATA": [HANG_UP, HANG_UP]})) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness)
        async with harness.at_work():
            await until(partial(_settled, harness, "sent"))
    assert len(server.taken) == 1
    assert server.steps["DATA"] == 3


async def test_d15_a_mail_in_flight_is_finished_before_its_sender_is_cancelled(pool: Pool) -> None:
    """Another loop fails, for example because the broker is unreachable: all are cancelled."""
    async with running(ScriptedSmtp(answers={"TEXT": [SILENT]})) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness, mails=2)
        task = asyncio.create_task(harness.sending(data_s=1).run(asyncio.Event()))
        await until(lambda: server.steps["TEXT"])
        finished = asyncio.create_task(harness.in_flight.finish())
        task.cancel()
        await finished
        assert await harness.states() == ["in-doubt", "waiting"]
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await harness.states() == ["in-doubt", "waiting"], "nothing new was begun"


async def test_copies_are_sent_with_the_mail_and_a_refused_copy_does_not_stop_it(
    pool: Pool,
) -> None:
    async with running(ScriptedSmtp(answers={"RCPT": ["250 OK", "550 no", "250 OK"]})) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness)
        await harness.pool.execute("update notifier.account set cc = '{a@x.example,b@x.example}'")
        async with harness.at_work():
            await harness.wait_for_states("sent")
    assert server.steps["RCPT"] == 3
    assert str(server.messages()[0]["Cc"]) == "a@x.example, b@x.example"


async def test_a_mail_that_cannot_be_rendered_fails_alone(pool: Pool) -> None:
    async with running(ScriptedSmtp()) as server:
        harness = NotifierHarness(pool, server.port)
        await owe(harness, mails=2)
        render = harness.render

        def broken(facts: Any) -> Any:
            if facts.account.account_id == "n-1":
                raise ValueError("no such word")
            return render(facts)

        harness.render = broken
        async with harness.at_work():
            await harness.wait_for_states("failed", "sent")
    failed = next(row for row in await harness.rows() if row["state"] == "failed")
    assert "could not be put into words: ValueError: no such word" in failed["last_error"]
