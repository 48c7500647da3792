"""Log events are what operators search for and alert on: each change of one is reviewed."""

import re
from pathlib import Path

import pytest

from tests.support.golden_files import compare
from tests.support.log_events import LogEvent, NotUnderstood, log_events
from tests.support.sources import SOURCES, text_of

GOLDEN = Path(__file__).parent / "golden" / "log-events.txt"


def events_of(tmp_path: Path, text: str) -> set[LogEvent]:
    """The events of a module with this text after its logger is made."""
    module = tmp_path / "module.py"
    module.write_text(f"import logging\nimport structlog\nlog = structlog.get_logger()\n{text}\n")
    return log_events([module])


@pytest.fixture(scope="module")
def found() -> set[LogEvent]:
    """The log events of all sources."""
    return log_events(SOURCES)


@pytest.mark.whole_tree
def test_log_events_are_as_reviewed(found: set[LogEvent]) -> None:
    """One line an event: name [level] fields. Beside these, each has timestamp and service.

    The output does not show the logger's name.
    """
    compare(GOLDEN, "".join(f"{event}\n" for event in sorted(found)))


@pytest.mark.whole_tree
def test_every_log_call_is_found(found: set[LogEvent]) -> None:
    """By a pattern that does not use syntax trees, so that no call is missed."""
    pattern = re.compile(r'\blog\.(?:debug|info|warning|error|exception|critical)\(\s*"([^"]+)"')
    texts = {text for path in SOURCES for text in pattern.findall(text_of(path))}
    assert len(texts) > 50
    assert texts <= {event.name for event in found}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('log.info("read", rows=1, at=2)', "read [info] at rows"),
        ('log.log(40 if x else 30, "late")', "late [warning|error]"),
        ('def f(x):\n    say = log.info if x else log.error\n    say(f"a {x}", n=1)',
         "a {} [error|info] n"),
        ('def f(what, **more):\n    log.info(what, **more)\nf("done", n=1)', "done [info] n"),
        ('def facts():\n    return {"a": 1}\nlog.info("x", **facts(), b=2)', "x [info] a b"),
        ('log.info("x", **event.model_dump())', "x [info] …"),
        ('logging.getLogger("a").error("plain")', "plain [error]"),
        ('logging.warning("root")', "root [warning]"),
        ('structlog.get_logger().info("direct")', "direct [info]"),
    ],
)  # fmt: skip
def test_an_event_is_read_however_it_is_written(tmp_path: Path, text: str, read: str) -> None:
    assert [str(event) for event in events_of(tmp_path, text)] == [read]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(x):\n    log.info(x.text)", "not literal: x.text"),
        ("def f():\n    log.info(*parts)", "not literal"),
        ("def f(what):\n    log.info(what)", "nothing calls f"),
        ("def f(what):\n    log.info(what)\nf(x.text)", "not literal: x.text"),
        ("other(log)", "handed on"),
        ('log.bind(a=1).info("x")', "no level: bind"),
        ("other(log.info)", "neither called nor put in a variable"),
        ("log.info()", "without a name"),
    ],
)
def test_an_event_that_cannot_be_read_fails(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(NotUnderstood, match=re.escape(reason)):
        events_of(tmp_path, text)
