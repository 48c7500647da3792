"""The HTML of lists and of SIP status, with uuid, name and flag of each row as in FusionPBX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Messages = Mapping[str, Sequence[str]]
"""The messages at the top of a page, by mood."""


@dataclass(frozen=True)
class ListedThing:
    """A row of a list page. `running` is shown for enabled gateways.

    `columns` follow the name; `description` is the last column.
    """

    uuid: str
    name: str
    enabled: bool
    domain: str = ""
    running: bool | None = None
    state: str = ""
    columns: tuple[str, ...] = ()
    description: str = ""


HEADINGS = {
    "gateways": ("Gateway", "Context", "Hostname", "Enabled", "Description"),
    "extensions": ("Extension", "Caller ID Name", "Enabled", "Description"),
    "domains": ("Domain", "Enabled", "Description"),
    "destinations": ("Number", "Type", "Context", "Enabled", "Description"),
}
RUNNING = ("Status", "Action", "State")
"""Further headings of the list of gateways, after the context, if the switch is reachable."""


def login_page(token: tuple[str, str] | None) -> str:
    """The login form; `token` is a hidden input of release 5.6."""
    field = hidden(*token) if token else ""
    return document(
        "Login",
        "<form name='login' method='post'>\n"
        "<input type='text' class='txt login' name='username' value=''>\n"
        "<input type='password' class='txt login' name='password'>\n"
        f"{field}<input type='submit' class='btn' value='Login'>\n</form>\n",
    )


def list_page(
    kind: str,
    things: Sequence[ListedThing],
    token: tuple[str, str],
    *,
    show_all: bool,
    reached: bool = False,
    may_toggle: bool = True,
    messages: Messages | None = None,
) -> str:
    """A list as one form with a row for each element, and the token at its end.

    `reached`: the switch is reachable, so the state of gateways is shown. Without `may_toggle` the
    flag is shown as text.
    """
    rows = "".join(
        _row(kind, number, thing, show_all=show_all, may_toggle=may_toggle)
        for number, thing in enumerate(things)
    )
    head = "".join(f"<th>{name}</th>\n" for name in _headings(kind, show_all, reached))
    search = "<form id='form_search' class='inline' method='get'>\n</form>\n"
    return document(
        kind.title(),
        f"{search}<form id='form_list' method='post'>\n"
        "<input type='hidden' id='action' name='action' value=''>\n"
        "<input type='hidden' name='search' value=\"\">\n"
        "<table class='list'>\n<tr class='list-header'>\n<th class='checkbox'></th>\n"
        f"{head}</tr>\n{rows}</table>\n{hidden(*token)}</form>\n",
        messages,
    )


def _headings(kind: str, show_all: bool, reached: bool) -> list[str]:
    names = ["Domain"] if show_all else []
    names += HEADINGS[kind][:2] if kind == "gateways" else HEADINGS[kind]
    if kind == "gateways":
        names += [*(RUNNING if reached else ()), *HEADINGS[kind][2:]]
    return names


def gateway_page(name: str) -> str:
    """The form of a gateway; it does not query the switch."""
    return document(
        "Gateway",
        "<form name='frm' id='frm' method='post'>\n"
        "<input class='formfld' type='text' name='gateway' maxlength='255' "
        f"value=\"{escape(name)}\" required='required'>\n"
        "<input class='formfld' type='text' name='username' value=\"\">\n</form>\n",
    )


def _row(kind: str, number: int, thing: ListedThing, *, show_all: bool, may_toggle: bool) -> str:
    edit = f"{kind[:-1]}_edit.php?id={thing.uuid}"
    cells = [
        f"<td class='checkbox'>\n<input type='checkbox' name='{kind}[{number}][checked]' "
        f"id='checkbox_{number}' value='true'>\n"
        f"<input type='hidden' name='{kind}[{number}][uuid]' value='{thing.uuid}' />\n</td>\n"
    ]
    if show_all:
        cells.append(f"<td>{escape(thing.domain) or 'Global'}</td>\n")
    cells.append(f"<td><a href='{edit}' title=\"Edit\">{escape(thing.name)}</a>\t</td>\n")
    first = 1 if kind == "gateways" else len(thing.columns)
    cells += [f"<td>{escape(text)}</td>\n" for text in thing.columns[:first]]
    cells += _running(number, thing)
    cells += [f"<td>{escape(text)}</td>\n" for text in thing.columns[first:]]
    label = "True" if thing.enabled else "False"
    flag = _button(number, label, "toggle") if may_toggle else f"<span>{label}</span>"
    cells.append(f"<td class='no-link center'>{flag}</td>\n")
    text = escape(thing.description) or "&nbsp;"
    cells.append(f"<td class='description overflow hide-sm-dn'>{text}</td>\n")
    return f"<tr class='list-row' href='{edit}'>\n{''.join(cells)}</tr>\n"


def _running(number: int, thing: ListedThing) -> list[str]:
    if thing.running is None:
        return []
    if not thing.enabled:
        return ["<td class='hide-sm-dn'>&nbsp;</td>\n<td>&nbsp;</td>\n<td>&nbsp;</td>\n"]
    status, action, state = (
        ("Running", "stop", escape(thing.state))
        if thing.running
        else ("Stopped", "start", "&nbsp;")
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
    """SIP status: the profiles, and each running gateway with a link that stops it."""
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
    return document("SIP Status", body, messages)


def hidden(name: str, value: str) -> str:
    """A hidden input."""
    return f"<input type='hidden' name='{name}' value='{value}'>\n"


def document(title: str, body: str, messages: Messages | None = None) -> str:
    """A complete page, with its messages in a script."""
    script = "".join(_shown(mood, texts) for mood, texts in (messages or {}).items() if texts)
    return (
        f"<!DOCTYPE html>\n<html><head><title>{escape(title)}</title>\n"
        f"<script language='JavaScript' type='text/javascript'>\n{script}</script></head>\n"
        f"<body>\n{body}</body></html>\n"
    )


def _shown(mood: str, texts: Sequence[str]) -> str:
    """A message as in FusionPBX: a call in a script, with the text escaped for script and HTML."""
    text = "<br/>".join(texts).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    text = text.replace("<", "&lt;").replace(">", "&gt;")
    return f"\tdisplay_message('{text}', '{mood}', '3000');\n"
