"""What the clients of all vendors share: bounded bodies, classes of errors, the login pause."""

from collections.abc import AsyncIterator

import httpx
import pytest

from ringfence_contracts.errors import Retry
from ringfence_pbx.errors import Refused
from ringfence_pbx.http import check_available, errors_as_retry, quoted, read_body
from ringfence_pbx.login_pause import REFUSAL_PAUSE_S, LoginPause
from ringfence_pbx.throttle import Throttled


async def too_long() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b"0123456789"


async def three_and_three() -> AsyncIterator[bytes]:
    yield b"abc"
    yield b"def"


async def test_a_body_is_read_up_to_its_end() -> None:
    pieces: list[None] = []
    body = await read_body(three_and_three(), 9, begun=b"xyz", on_piece=lambda: pieces.append(None))
    assert (body, len(pieces)) == (b"xyzabcdef", 2)


async def test_reading_stops_after_more_than_the_limit() -> None:
    assert await read_body(too_long(), 25) == b"0123456789" * 3


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 599])
def test_a_status_that_means_later_is_a_retry(status: int) -> None:
    with pytest.raises(Retry, match=rf"^pbx-1: status {status} on /list$") as caught:
        check_available("pbx-1", status, None, path="/list")
    assert not isinstance(caught.value, Throttled)


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_that_the_server_names_is_throttled(status: int) -> None:
    with pytest.raises(Throttled, match=rf"^pbx-1: status {status}, again in 7 s$") as caught:
        check_available("pbx-1", status, 7.0)
    assert caught.value.after_s == 7.0


@pytest.mark.parametrize("status", [200, 304, 401, 404])
def test_any_other_status_is_left_to_the_client(status: int) -> None:
    check_available("pbx-1", status, 7.0)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeoutError(), "pbx-1: no answer within 5 s"),
        (httpx.ReadTimeout("slow"), "pbx-1: no answer within 5 s"),
        (httpx.ConnectError("key s3cret"), "pbx-1: ConnectError 'key ***'"),
    ],
)
def test_an_error_of_the_network_is_a_retry_without_secrets(error: Exception, message: str) -> None:
    with (
        pytest.raises(Retry) as caught,
        errors_as_retry("pbx-1", "within 5 s", lambda text: quoted(text, "s3cret", "")),
    ):
        raise error
    assert str(caught.value) == message


def test_no_login_is_sent_while_the_pause_runs() -> None:
    now = [1000.0]
    pause = LoginPause(lambda: now[0])
    pause.check()
    pause.start(Refused("pbx-1 refuses the api key"))
    now[0] += REFUSAL_PAUSE_S - 1
    with pytest.raises(Refused, match=r"^pbx-1 refuses the api key$"):
        pause.check()
    now[0] += 1
    pause.check()


def test_an_accepted_login_ends_the_pause() -> None:
    pause = LoginPause(lambda: 1000.0)
    pause.start(Refused("pbx-1 refuses the api key"))
    pause.end()
    pause.check()
