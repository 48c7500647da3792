"""The HTML that a client reads state from: where FusionPBX puts a row's uuid, name and flag."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Messages = Mapping[str, Sequence[str]]
"""What a page tells its reader on top, by mood."""


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
    kind: str,
    things: Sequence[ListedThing],
    token: tuple[str, str],
    *,
    show_all: bool,
    messages: Messages | None = None,
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
        messages,
    )


def gateway_page(name: str) -> str:
    """The form in which a gateway is edited; it asks the switch nothing."""
    return _document(
        "Gateway",
        "<form name='frm' id='frm' method='post'>\n"
        "<input class='formfld' type='text' name='gateway' maxlength='255' "
        f"value=\"{escape(name)}\" required='required'>\n"
        "<input class='formfld' type='text' name='username' value=\"\">\n</form>\n",
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


@dataclass(frozen=True)
class RunningGateway:
    """A row of SIP status."""

    uuid: str
    name: str
    profile: str
    state: str


def sip_status_page(
    profiles: Sequence[str], live: Sequence[RunningGateway], messages: Messages
) -> str:
    """SIP status: the profiles, and each gateway that runs with a link that stops it."""
    rows = "".join(
        f"<tr class='list-row' href=''>\n<td>{escape(profile)}</td>\n<td>Profile</td>\n"
        f"<td class='hide-sm-dn'>sip:mod_sofia@192.0.2.1:5080</td>\n"
        "<td class='no-wrap'>RUNNING (0)</td>\n<td>&nbsp;</td>\n</tr>\n"
        for profile in profiles
    )
    rows += "".join(
        f"<tr class='list-row' href=''>\n<td>{escape(gateway.name)}</td>\n<td>Gateway</td>\n"
        f"<td class='hide-sm-dn'>sip:{escape(gateway.name)}@192.0.2.9</td>\n"
        f"<td class='no-wrap'>{gateway.state}</td>\n"
        f"<td class='center no-link'><a href='cmd.php?profile={gateway.profile}"
        f'&gateway={gateway.uuid}&action=killgw\' target="_self">'
        "<button type='button'>Stop</button></a></td>\n</tr>\n"
        for gateway in live
    )
    head = (
        "<tr class='list-header'>\n<th>Name</th>\n<th>Type</th>\n<th>Data</th>\n"
        "<th>State</th>\n<th class='center'>Action</th>\n</tr>\n"
    )
    body = f"<div id='sofia_status'>\n<table class='list'>\n{head}{rows}</table>\n</div>\n"
    return _document("SIP Status", body, messages)


def _hidden(name: str, value: str) -> str:
    return f"<input type='hidden' name='{name}' value='{value}'>\n"


def _document(title: str, body: str, messages: Messages | None = None) -> str:
    script = "".join(_shown(mood, said) for mood, said in (messages or {}).items() if said)
    return (
        f"<!DOCTYPE html>\n<html><head><title>{escape(title)}</title>\n"
        f"<script language='JavaScript' type='text/javascript'>\n{script}</script></head>\n"
        f"<body>\n{body}</body></html>\n"
    )


def _shown(mood: str, said: Sequence[str]) -> str:
    """A message as FusionPBX writes it: a call in a script, its text escaped for both."""
    text = "<br/>".join(said).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    text = text.replace("<", "&lt;").replace(">", "&gt;")
    return f"\tdisplay_message('{text}', '{mood}', '3000');\n"
