"""The output of commands, run as a person runs them, without what differs between runs.

Ids, times and ports are masked by as many characters as they have, so that columns and line breaks
stay what a person sees.
"""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner

from ringfence_cli.main import main
from tests.support.command_tree import tree
from tests.support.golden_files import compare

GOLDEN = Path(__file__).parents[1] / "golden" / "output"
JSON_GOLDEN = GOLDEN.parent / "json"
WIDTH = 80
ON_A_TERMINAL = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "TZ": "UTC"}
COMMANDS = frozenset(path for path, _ in tree())

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WHEN = (
    re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4}"),
    re.compile(r"\b\d{4}-\d\d-\d\d(?!\d)"),
    re.compile(r"\b\d\d-\d\d(?= \d\d:\d\d)"),
    re.compile(r"(?<![\d:])\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?!\d)"),
    re.compile(r"\b\d:\d\d:\d\d\b"),
)
_SAME_LENGTH = (
    *_WHEN,
    re.compile(r"(?<=127\.0\.0\.1:)\d+"),
    re.compile(r"\b[0-9a-f]{8}\b(?= *$)", re.MULTILINE),  # the beginning of an id, in a table
    re.compile(r"^[0-9a-f]{8}(?=  )", re.MULTILINE),  # the same, in its first column
    re.compile(r"^ [0-9a-f-]{12}(?= )", re.MULTILINE),  # an id, broken into lines in a table
    re.compile(r"(?<===)\d{19}(?===)"),  # the border of a mail's parts
    re.compile(r"(?<=refund of )[0-9a-f]{8}"),
    re.compile(r"(?<=(?:revoked|rotated|created)  )[0-9a-f]{8}(?=  )"),  # a token's id
)
_MEASURED = (
    (re.compile(r"\brf_login_[\w-]{43}"), "rf_login_#"),  # of a new login link
    (re.compile(r"\brf_[\w-]{43}"), "rf_#"),  # a new token
    (re.compile(r"(?<=UTC, )\d+ min ago"), "# s ago"),  # of a call, on a slow machine
    (re.compile(r"\b\d+(?:\.\d+)? (ms|s|min|h) ago"), r"# \1 ago"),
    (re.compile(r"\(0\.\d\d(\s+)s\)"), r"(#\1s)"),  # of a request to a PBX
    (re.compile(r"(?<=ok    topics           all )\d+"), "#"),
    (re.compile(r"\b(in|after|last) \d+(?:\.\d+)? (ms|s|h)\b"), r"\1 # \2"),
    (re.compile(r"(?<=clients, )\d+\.\d s"), "# s"),  # of a wave
    (re.compile(r"(?<=ok    clock            ).*"), "(how far from ours)"),
    (re.compile(r"(?<=ok    reachable        version )[\d.]+"), "#"),
    (re.compile(r"(?<=ok    migrations       )\d+"), "#"),
    (re.compile(r"\b\d+\.\d MB, \d+ migrations"), "# MB, # migrations"),  # of a backup
)


def command_of(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The path of the command that these arguments run."""
    lengths = range(len(arguments), 0, -1)
    return next((arguments[:n] for n in lengths if arguments[:n] in COMMANDS), ())


def file_of(command: tuple[str, ...]) -> str:
    """The name of a command's golden file."""
    return f"{'-'.join(command)}.txt"


def json_file_of(command: tuple[str, ...]) -> str:
    """The name of the golden file with a command's JSON."""
    return f"{'-'.join(command)}.json"


@contextmanager
def in_utc() -> Iterator[None]:
    """Set the time zone of this process to UTC, and back afterwards."""
    with patch.dict(os.environ, TZ="UTC"):
        time.tzset()
        try:
            yield
        finally:
            os.environ.pop("TZ")
    time.tzset()


def printed(*arguments: str, typed: str = "", **environment: str) -> str:
    """Run `ringfence` with these arguments; its command line, what it printed, and its status.

    Standard output and standard error are one text, as on a terminal of 80 columns.
    """
    status: object = 0
    runner = CliRunner(env={**ON_A_TERMINAL, **environment})
    with (
        patch.dict(os.environ),  # main reads ringfence.toml into it
        runner.isolation(input=typed) as (_, _, both),
        patch.object(sys, "argv", ["ringfence", *arguments]),
        patch.object(sys.modules["__main__"], "__package__", None),  # usage names the program
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        text = both.getvalue().decode().replace("\r\n", "\n")
    shown = " ".join(f'"{each}"' if " " in each else each for each in arguments)
    ending = f"[exit {status}]\n" if status else ""
    return f"$ ringfence {shown}\n{text}{ending}"


def masked(text: str, folder: Path) -> str:
    """The text without ids, times, ports, measured figures and the path of `folder`."""
    text = text.replace(str(folder), "/tmp/folder".ljust(len(str(folder)), "x"))
    text = _UUID.sub(lambda found: re.sub(r"[0-9a-f]", "x", found.group()), text)
    for pattern in _SAME_LENGTH:
        text = pattern.sub(lambda found: re.sub(r"\w", "#", found.group()), text)
    for pattern, shown in _MEASURED:
        text = pattern.sub(shown, text)
    return text


def masked_json(text: str, folder: Path) -> str:
    """The JSON of a command, masked; fractions of seconds have as many digits in every run."""
    return re.sub(r"(##T##:##:##)\.#+", r"\1.######", masked(text, folder))


def compare_json(command: tuple[str, ...], text: str) -> None:
    """Compare the masked JSON of a command with its golden file. Raises AssertionError."""
    compare(JSON_GOLDEN / json_file_of(command), text)


def compare_output(command: tuple[str, ...], text: str) -> None:
    """Compare the masked output of a command with its golden file. Raises AssertionError."""
    compare(GOLDEN / file_of(command), text)
