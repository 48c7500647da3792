"""API errors as the command line says them: options and labels instead of the API's field names."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

_CLIENT_LABELS = {
    "first_name": "First Name",
    "last_name": "Last Name",
    "company_name": "Company Name",
    "low_balance_threshold": "Low Balance Threshold",
    "manual_voip_suspend": "Manual VoIP Suspend",
    "voip_suspended": "VoIP Suspended",
}
_PARAMETERS: Mapping[str, Sequence[str]] = {
    "Idempotency-Key": ("key",),
    "account_id": ("account",),
    "client": ("account",),
    "expires_at": ("until",),
    "notice_id": ("notice_id",),
    "package": ("package_id",),
    "product": ("product_id",),
    "server": ("server_id",),
    "service_id": ("product_id",),
    "tariff": ("tariff_id",),
    "header": ("file",),
    "number": ("prefix",),
}
"""API field → parameters of commands that have its value under another name."""

_NOUNS = {
    "dead_id": "dead record",
    "notice_id": "mail",
    "request_id": "command",
    "token_id": "token",
}
_LISTED_BY = {
    "dead_id": "`ringfence dead list --state all` lists those that exist",
    "client": "`ringfence client list --search TEXT` looks for one,"
    " `ringfence client set ACCOUNT …` creates one",
}


def error_text(answer: Mapping[str, Any], status: int) -> str:
    """All errors of a response, each by itself if there are several."""
    error = answer["error"]
    if status == 403:
        return _forbidden(error)
    each = answer.get("errors") or [error]
    if len(each) == 1:
        return _one(each[0], status)
    lines = (f"\n  {_one(one, status)}" for one in each)
    return f"{len(each)} values are refused; nothing was changed:{''.join(lines)}"


def _forbidden(error: Mapping[str, Any]) -> str:
    """What the token lacks, with the command that needs it instead of the request."""
    context = click.get_current_context(silent=True)
    command = f"`{context.command_path}`" if context else "this request"
    return str(error["message"]).replace("this request", command)


def row_text(row: Mapping[str, Any]) -> str:
    """A refused row of a tariff file."""
    return f"line {row['line']}: {row['field']}: got {row['value']!r}, expected {row['expected']}"


def _one(error: Mapping[str, Any], status: int) -> str:
    field, message = str(error["field"]), str(error["message"])
    if status == 404 and f"there is no {error['value']!r}; " in message:
        return _unknown(field, error)
    label = label_of(field)
    for name in (field, _labels().get(field)):
        if name and message.startswith(name):
            message = f"{label}{message.removeprefix(name)}"
            break
    if error["value"] == "":
        message = message.replace(f"{label}: got '', expected", f"{label} is blank: expected")
    if "there is no such field" in message and _has("fields"):
        message += "; `ringfence product fields` lists those that exist"
    return message


def _unknown(field: str, error: Mapping[str, Any]) -> str:
    noun = _NOUNS.get(field, field)
    return f"there is no {noun} {error['value']!r}: {_LISTED_BY.get(field, error['expected'])}"


def label_of(field: str) -> str:
    """A field as the reader of this command knows it: `Low Balance Threshold (--low-…)`, `AMOUNT`.

    `field` is the API's name of it, or its label.
    """
    names = {label: name for name, label in _labels().items()}
    name = names.get(field, field)
    label = _labels().get(name, "")
    if label and name not in _CLIENT_LABELS and _has("fields"):
        option = f"--field {name}=…"
    else:
        option = _parameter(name)
    if label and option:
        return f"{label} ({option})"
    return label or option or field


def _labels() -> Mapping[str, str]:
    """The labels of clients' and products' fields."""
    from accounts.products.fields import LABELS  # slow to import, and only needed for an error

    return _CLIENT_LABELS | LABELS


def _parameter(field: str) -> str:
    """The option or argument of the current command that has a field; blank if none has it."""
    parameters = _parameters()
    for name in (field, *_PARAMETERS.get(field, ())):
        parameter = parameters.get(name)
        if isinstance(parameter, click.Option):
            return max(parameter.opts, key=len)
        if parameter is not None:
            return parameter.human_readable_name
    return ""


def _has(name: str) -> bool:
    return name in _parameters()


def _parameters() -> dict[str | None, click.Parameter]:
    context = click.get_current_context(silent=True)
    return {each.name: each for each in context.command.params} if context else {}
