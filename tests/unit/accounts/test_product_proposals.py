"""Proposed products as commands: run by a shell, they give the proposed fields."""

import subprocess
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from accounts.installation.proposed import free_ids
from ringfence_cli.servers.product_commands import product_command
from ringfence_contracts.events.model import Id

SHELL = "ringfence() { printf '%s\\0' \"$@\"; }\n"


def proposal(**changes: Any) -> dict[str, Any]:
    return {
        "product": "mcon", "server_id": "pbx1", "kind": "fusionpbx", "tenant": "mcon.example.com",
        "name": "mcon.example.com", "notes": [],
        "fields": {
            "domain_tenant_and_main_dids": "mcon.example.com | 5192229000",
            "extensions": "2112 | 2113",
        },
        **changes,
    }  # fmt: skip


def copied(command: str) -> list[str]:
    """The arguments of a command as a shell parses it."""
    done = subprocess.run(["bash", "-c", SHELL + command], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def fields(arguments: list[str]) -> dict[str, list[str]]:
    """The fields as the API reads them: lists, stripped."""
    given_ = [value for option, value in pairwise(arguments) if option == "--field"]
    pairs = (text.partition("=") for text in given_)
    return {name: [part.strip() for part in value.split("|")] for name, _, value in pairs}


def test_a_short_proposal_is_a_command() -> None:
    assert product_command(proposal()) == (
        "ringfence product set ACCOUNT mcon \\\n"
        "    --kind fusionpbx --server pbx1 --package PACKAGE \\\n"
        '    --field domain_tenant_and_main_dids="mcon.example.com | 5192229000" \\\n'
        '    --field extensions="2112 | 2113"'
    )


def test_notes_are_shell_comments() -> None:
    command = product_command(proposal(notes=["no DID is listed; add $(reboot) " * 5]))
    lines = command.splitlines()
    assert len([line for line in lines if line.startswith("# ")]) > 1
    assert max(map(len, lines)) <= 80
    assert copied(command)[:4] == ["product", "set", "ACCOUNT", "mcon"]


def test_hundreds_of_extensions_are_wrapped_and_parsed_unchanged() -> None:
    numbers = [str(number) for number in range(1000, 1400)]
    command = product_command(proposal(fields={"extensions": " | ".join(numbers)}))
    assert max(map(len, command.splitlines())) <= 80
    assert fields(copied(command)) == {"extensions": numbers}


@pytest.mark.parametrize("name", ['Bob\'s "$HOME" `id` \\ !', "Zoë; rm -rf /", "a\nb\x07c"])
def test_a_name_of_a_pbx_is_never_executed_by_the_shell(name: str) -> None:
    command = product_command(proposal(name=name, fields={"ext_profile_first_name": name}))
    arguments = copied(command)
    shown = "".join(char for char in name if char.isprintable())
    assert arguments[arguments.index("--name") + 1] == shown
    assert f"ext_profile_first_name={name}" in arguments


@settings(max_examples=25, deadline=None)  # Each example starts a shell.
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_any_text_of_a_pbx_is_one_argument(text: str) -> None:
    command = product_command(proposal(tenant="t", name=text, fields={"field": text}))
    arguments = copied(command)
    value = next(each for each in arguments if each.startswith("field="))
    assert "".join(value.split()) == "".join(f"field={text}".split())


@given(st.lists(st.text(max_size=30), max_size=8), st.sets(st.sampled_from(["a", "a-2", "mcon"])))
def test_ids_are_free_and_valid_and_all_different(tenants: list[str], taken: set[str]) -> None:
    ids = free_ids(["a.example.com", "a.example.org", *tenants], taken)
    assert len(set(ids)) == len(ids) == len(tenants) + 2
    assert not set(ids) & taken
    for each in ids:
        TypeAdapter(Id).validate_python(each)
