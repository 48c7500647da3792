"""Commands to services: published through the API; the answer is awaited for a while."""

import time
from typing import Any

from ringfence_cli.connection import ApiClient, path_of
from ringfence_cli.tables import print_json, print_sentence

ANSWER_S = 10.0
EXIT_REFUSED_OR_SILENT = 1
_LOOK_EVERY_S = 0.2


def await_answer(api: ApiClient, request_id: str) -> dict[str, Any]:
    """The command once it is done or refused; still waiting after `ANSWER_S` without an answer."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        found = api.get(path_of("commands", request_id))
        if found["state"] != "waiting" or time.monotonic() >= deadline:
            return found
        time.sleep(_LOOK_EVERY_S)


def show_answer(
    found: dict[str, Any], *, shows: str, service: str = "suspender", as_json: bool = False
) -> None:
    """Print the result of a command. Ends the program with 1 if it was refused or not answered.

    `shows` is the command line that shows the result later; `service` is the one that answers.
    """
    if as_json:
        print_json(found)
    elif found["state"] == "waiting":
        print_sentence(
            f"no answer in {ANSWER_S:.0f} s: it is done when the {service} runs again;"
            f" `{shows}` shows it",
            err=True,
        )
    else:
        print_sentence(f"{found['state']}: {found['answer']}")
    if found["state"] != "done":
        raise SystemExit(EXIT_REFUSED_OR_SILENT)
