"""The face of the command: usage errors, completion, and how little is loaded for both."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ringfence.console.output import wrapped
from ringfence_cli.main import main_group
from tests.support.command_tree import command_at

BIN = Path(sys.executable).parent
COMPLETE = """
eval "$(ringfence completion bash)"
COMP_WORDS=({words}); COMP_CWORD={last}
_ringfence_completion ringfence
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def refused(*words: str) -> str:
    """What is printed for words that are not a command, which ends with status 2."""
    result = CliRunner().invoke(main_group, words, prog_name="ringfence")
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr


@pytest.mark.parametrize(
    ("words", "usage", "error"),
    [
        (["clent"], "ringfence", "No such command 'clent'. Did you mean 'client' or 'lesnet'?"),
        (["zzz"], "ringfence", "No such command 'zzz'."),
        (
            ["client", "shwo"],
            "ringfence client",
            "No such command 'shwo'. Did you mean 'show'?",
        ),
        (["vectors", "ratings"], "ringfence vectors",
         "No such command 'ratings'. Did you mean 'rating'?"),
        (["--versoin"], "ringfence", "No such option: --versoin Did you mean --version?"),
        (
            ["client", "list", "--jsn"],
            "ringfence client list",
            "No such option: --jsn Did you mean --json?",
        ),
        (
            ["client", "list", "--level", "lo"],
            "ringfence client list",
            "Invalid value for '--level': 'lo' is not one of 'ok', 'low', 'exhausted'.",
        ),
        (["topup"], "ringfence topup", "Missing argument 'ACCOUNT'."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_an_error_of_usage_says_what_is_wrong_and_what_may_be_meant(
    words: list[str], usage: str, error: str
) -> None:
    first, hint, empty, *rest = refused(*words).splitlines()
    assert first.startswith(f"Usage: {usage} [OPTIONS]")
    assert (hint, empty, rest) == (f"Try '{usage} --help' for help.", "", [f"Error: {error}"])


def test_errors_are_wrapped_where_the_width_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ringfence: one two three four\nfive"
    with open(os.devnull, "w") as no_terminal:
        monkeypatch.delenv("COLUMNS", raising=False)
        assert wrapped(text, no_terminal) == text
        monkeypatch.setenv("COLUMNS", "20")
        assert wrapped(text, no_terminal) == "ringfence: one two\n    three four\nfive"


def completed(*words: str) -> list[str]:
    """What bash offers for the last of these words."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = COMPLETE.format(words=" ".join(f"'{word}'" for word in words), last=len(words) - 1)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.processes
def test_bash_completes_commands_options_and_choices() -> None:
    assert completed("ringfence", "cl") == ["client"]
    assert completed("ringfence", "client", "li") == ["link", "list"]
    assert completed("ringfence", "client", "list", "--js") == ["--json"]
    assert completed("ringfence", "client", "list", "--level", "e") == ["exhausted"]
    assert "client" in completed("ringfence", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_ringfence(shell: str) -> None:
    result = CliRunner().invoke(main_group, ["completion", shell])
    assert result.exit_code == 0
    assert f"_RINGFENCE_COMPLETE={shell}_complete" in result.stdout
    assert "ringfence" in result.stdout


@pytest.mark.processes
def test_completion_works_where_ringfence_toml_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "ringfence.toml").write_text("not toml")
    asked = {
        "_RINGFENCE_COMPLETE": "bash_complete",
        "COMP_WORDS": "ringfence cl",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [BIN / "ringfence"], env={**os.environ, **asked}, cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "plain,client\n", "")


LOADED = """
import sys
from ringfence.console.output import wrapped
from ringfence_cli.main import main
sys.argv = {arguments}
try:
    main()
except SystemExit:
    pass
print(*[name for name in {watched} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "watched"),
    [
        (["ringfence", "completion", "fish"], ["rich", "rich_click", "httpx", "pydantic"]),
        (["ringfence", "tariff", "list", "--jsn"], ["rich_click"]),
    ],
)
def test_what_is_not_needed_is_not_loaded(arguments: list[str], watched: list[str]) -> None:
    """Each of these costs every command a tenth of a second, or a third of one."""
    code = LOADED.format(arguments=arguments, watched=watched)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == ""


@pytest.mark.processes
def test_a_package_that_cannot_be_imported_leaves_the_help_of_the_others(
    tmp_path: Path,
) -> None:
    """For instance half of an upgrade."""
    facts = tmp_path / "broken-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[ringfence.commands]\nbroken = nowhere.at:all\n")
    done = subprocess.run(
        [BIN / "ringfence", "--help"], env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "\n  broken " in done.stdout.partition("Further commands:\n")[2].join(("\n", ""))
    assert "Cannot be used: No module named 'nowhere'." in done.stdout
    assert "  client " in done.stdout


def test_a_command_of_another_package_is_the_one_that_it_brought() -> None:
    """Help is added to the command; it is no copy."""
    from ringfence.kafka.command import topics

    assert command_at(("topics",)) is topics
