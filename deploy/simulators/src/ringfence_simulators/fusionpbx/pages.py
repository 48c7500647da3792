"""The HTML that a client reads state from: where FusionPBX puts a row's uuid, name and flag."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class ListedThing:
    """A row of a list page. `running` is shown for gateways that are enabled."""

    uuid: str
    name: str
    enabled: bool
    domain: str = ""
    running: bool | None = None


def login_page(token: tuple[str, str] | None) -> str:
    """The login form; `token` is a hidden input of the 5.6 line."""
    hidden = _hidden(*token) if token else ""
    return _document(
        "Login",
        "<form name='login' method='post'>\n"
        "<input type='text' class='txt login' name='username' value=''>\n"
        "<input type='password' class='txt login' name='password'>\n"
        f"{hidden}<input type='submit' class='btn' value='Login'>\n</form>\n",
    )


def list_page(
    kind: str, things: Sequence[ListedThing], token: tuple[str, str], *, show_all: bool
) -> str:
    """A list as one form: a row each, and the token at its end."""
    rows = "".join(
        _row(kind, number, thing, show_all=show_all) for number, thing in enumerate(things)
    )
    search = "<form id='form_search' class='inline' method='get'>\n</form>\n"
    return _document(
        kind.title(),
        f"{search}<form id='form_list' method='post'>\n"
        "<input type='hidden' id='action' name='action' value=''>\n"
        "<input type='hidden' name='search' value=\"\">\n"
        f"<table class='list'>\n<tr class='list-header'>\n<th>Name</th>\n</tr>\n{rows}</table>\n"
        f"{_hidden(*token)}</form>\n",
    )


def _row(kind: str, number: int, thing: ListedThing, *, show_all: bool) -> str:
    edit = f"{kind[:-1]}_edit.php?id={thing.uuid}"
    cells = [
        f"<td class='checkbox'>\n<input type='checkbox' name='{kind}[{number}][checked]' "
        f"id='checkbox_{number}' value='true'>\n"
        f"<input type='hidden' name='{kind}[{number}][uuid]' value='{thing.uuid}' />\n</td>\n"
    ]
    if show_all:
        cells.append(f"<td>{escape(thing.domain) or 'Global'}</td>\n")
    cells.append(f"<td><a href='{edit}' title=\"Edit\">{escape(thing.name)}</a>\t</td>\n")
    cells += _running(number, thing)
    label = "True" if thing.enabled else "False"
    cells.append(f"<td class='no-link center'>{_button(number, label, 'toggle')}</td>\n")
    cells.append("<td class='description overflow hide-sm-dn'>&nbsp;</td>\n")
    return f"<tr class='list-row' href='{edit}'>\n{''.join(cells)}</tr>\n"


def _running(number: int, thing: ListedThing) -> list[str]:
    if thing.running is None:
        return []
    if not thing.enabled:
        return ["<td class='hide-sm-dn'>&nbsp;</td>\n<td>&nbsp;</td>\n<td>&nbsp;</td>\n"]
    status, action, state = (
        ("Running", "stop", "REGED") if thing.running else ("Stopped", "start", "&nbsp;")
    )
    button = _button(number, action.title(), action)
    return [
        f"<td class='hide-sm-dn'>{status}</td>\n"
        f"<td class='no-link center'>{button}</td>\n<td>{state}</td>\n"
    ]


def _button(number: int, label: str, action: str) -> str:
    press = (
        f"list_self_check('checkbox_{number}'); list_action_set('{action}'); "
        "list_form_submit('form_list')"
    )
    return (
        f'<button type=\'submit\' alt="{label}" title="{action.title()}" onclick="{press}" '
        f"class='btn btn-link'><span class='button-label'>{label}</span></button>"
    )


def sip_status_page(live: Sequence[tuple[str, str, str]]) -> str:
    """SIP status: (profile, uuid, name) of each gateway that runs, with a link that stops it."""
    rows = "".join(
        f"<tr class='list-row'>\n<td>{escape(name)}</td>\n<td>Gateway</td>\n<td>REGED</td>\n"
        f"<td class='center no-link'><a href='cmd.php?profile={profile}&gateway={uuid}"
        "&action=killgw' target=\"_self\"><button type='button'>Stop</button></a></td>\n</tr>\n"
        for profile, uuid, name in live
    )
    return _document("SIP Status", f"<table class='list'>\n{rows}</table>\n")


def _hidden(name: str, value: str) -> str:
    return f"<input type='hidden' name='{name}' value='{value}'>\n"


def _document(title: str, body: str) -> str:
    return (
        f"<!DOCTYPE html>\n<html><head><title>{escape(title)}</title></head>\n"
        f"<body>\n{body}</body></html>\n"
    )
