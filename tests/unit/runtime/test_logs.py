"""Logs: one JSON object a line, with the service's name, and no secret in it."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from ringfence.observe.logs import configure_logs
from ringfence.settings import CommonSettings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Restore the logging of the process after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The logged objects; every line must be one."""
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_each_line_is_an_object_with_time_level_service_and_event(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs("rating")
    structlog.get_logger().warning("record rejected", reason="a\nb “c”", offset=7)
    (line,) = lines(capfd)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "service": "rating",
        "event": "record rejected",
        "reason": "a\nb “c”",
        "offset": 7,
    }


def test_lines_of_libraries_have_the_same_form(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("rating")
    logging.getLogger("some.library").error("went %s", "wrong")
    (line,) = lines(capfd)
    assert (line["event"], line["level"], line["service"]) == ("went wrong", "error", "rating")


def test_a_traceback_stays_on_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("rating")
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError as error:
        structlog.get_logger().error("a bug", exc_info=error)
    (line,) = lines(capfd)
    assert "ZeroDivisionError: a bug" in line["exception"]


def test_lines_below_the_level_are_omitted(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("rating", "WARNING")
    structlog.get_logger().info("quiet")
    logging.getLogger("some.library").info("quiet too")
    logging.getLogger("aiokafka.conn").info("and this")
    assert lines(capfd) == []


def test_bound_context_is_on_each_line(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("suspender")
    with structlog.contextvars.bound_contextvars(correlation_id="the-first"):
        structlog.get_logger().info("confirmed")
    structlog.get_logger().info("later")
    first, later = lines(capfd)
    assert first["correlation_id"] == "the-first"
    assert "correlation_id" not in later


def test_values_that_json_does_not_know_do_not_break_a_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs("rating")
    structlog.get_logger().info("odd", what={1, 2}, raw=b"\xff", error=ValueError("x"))
    (line,) = lines(capfd)
    assert line["event"] == "odd"


def test_a_secret_in_settings_is_not_shown_by_logging_them(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs("rating")
    settings = CommonSettings(postgres_dsn=SecretStr("postgresql://u:s3cret@127.0.0.1/ringfence"))
    structlog.get_logger().info("settings", settings=settings, dsn=settings.postgres_dsn)
    logging.getLogger("some.library").warning("%r", settings)
    text = json.dumps(lines(capfd))
    assert "settings" in text
    assert "s3cret" not in text


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_KAFKA_BOOTSTRAP", "kafka:9092")
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "elsewhere:9092")
    assert CommonSettings().kafka_bootstrap == "kafka:9092"
