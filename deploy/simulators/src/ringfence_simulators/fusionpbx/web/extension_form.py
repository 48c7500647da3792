"""The form of an extension: its fields, its HTML, and how a POST stores them."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ringfence_simulators.fusionpbx.things import SimulatedExtension

May = Callable[[str], bool]
"""Whether the user has a right."""

_BOOLEAN = ("true", "false")
_VOICEMAIL = "voicemail_edit"


@dataclass(frozen=True)
class Field:
    """A field: the right that it needs (empty: none), and the options of a select.

    `default` is the value of an extension that was never saved. `only_if_given`: an empty value is
    not stored. `kept_on_56`: release 5.6 does not store a value that was not posted.
    """

    name: str
    right: str = ""
    options: tuple[str, ...] = ()
    default: str = ""
    only_if_given: bool = False
    kept_on_56: bool = False


FIELDS = (
    Field("number_alias", "number_alias"),
    Field("voicemail_password", _VOICEMAIL, default="4711"),
    Field("accountcode", "extension_accountcode", kept_on_56=True),
    Field("effective_caller_id_name", "effective_caller_id_name"),
    Field("effective_caller_id_number", "effective_caller_id_number"),
    Field("outbound_caller_id_name", "outbound_caller_id_name"),
    Field("outbound_caller_id_number", "outbound_caller_id_number"),
    Field("emergency_caller_id_name", "emergency_caller_id_name"),
    Field("emergency_caller_id_number", "emergency_caller_id_number"),
    Field("directory_first_name", "extension_directory"),
    Field("directory_last_name", "extension_directory"),
    Field("directory_visible", "extension_directory", _BOOLEAN, "true"),
    Field("directory_exten_visible", "extension_directory", _BOOLEAN, "true"),
    Field("max_registrations", "extension_max_registrations"),
    Field("limit_max", "extension_limit", default="5"),
    Field("limit_destination", "extension_limit", default="!USER_BUSY"),
    Field("voicemail_enabled", _VOICEMAIL, _BOOLEAN, "true"),
    Field("voicemail_mail_to", _VOICEMAIL),
    Field("voicemail_transcription_enabled", _VOICEMAIL, _BOOLEAN, "false"),
    Field("voicemail_file", _VOICEMAIL, ("", "link", "attach"), "attach"),
    Field("voicemail_local_after_email", _VOICEMAIL, _BOOLEAN, "true"),
    Field("missed_call_app", "extension_missed_call", ("", "email", "text", "url")),
    Field("missed_call_data", "extension_missed_call"),
    Field("toll_allow", "extension_toll"),
    Field("call_timeout", default="30", only_if_given=True),
    Field("call_group", "extension_call_group"),
    Field("call_screen_enabled", "", _BOOLEAN, "false"),
    Field("user_record", "extension_user_record", ("", "all", "local", "inbound", "outbound")),
    Field("hold_music", "extension_hold_music", ("", "local_stream://default")),
    Field("user_context", "extension_user_context", kept_on_56=True),
    Field("auth_acl"),
    Field("cidr", "extension_cidr"),
    Field("sip_force_contact", "", ("", "NDLB-connectile-dysfunction", "NDLB-tls-connectile")),
    Field("sip_force_expires"),
    Field("nibble_account", "extension_nibble_account", only_if_given=True),
    Field("mwi_account", only_if_given=True),
    Field("sip_bypass_media", "", ("", "bypass-media", "proxy-media")),
    Field("absolute_codec_string", "extension_absolute_codec_string"),
    Field("force_ping", "extension_force_ping", ("", "true", "false")),
    Field("dial_string", "extension_dial_string"),
    Field("extension_language", "extension_language", ("", "en-us", "fr-ca")),
    Field("extension_type", "extension_type", ("default", "virtual"), "default"),
    Field("enabled", "extension_enabled", _BOOLEAN, kept_on_56=True),
    Field("description"),
)
_DEFAULTS = {field.name: field.default for field in FIELDS}


def stored(extension: SimulatedExtension) -> dict[str, str]:
    """The columns of an extension, as they are stored."""
    return {
        **_DEFAULTS,
        "effective_caller_id_name": extension.caller_name,
        "effective_caller_id_number": extension.caller_number,
        **extension.form,
        "extension": extension.number,
        "password": extension.password,
        "accountcode": extension.accountcode,
        "user_context": extension.user_context,
        "toll_allow": extension.toll_allow,
        "enabled": "true" if extension.enabled else "false",
    }


def form_html(
    extension: SimulatedExtension | None,
    may: May,
    toll_names: Sequence[str],
    domains: Mapping[str, str],
    token: tuple[str, str],
) -> str:
    """The form with the current values that the user may see; without an extension it is empty.

    Like the real form it has inputs that a browser would not send (without a name, or disabled),
    empty hidden inputs, and unrelated selects. `domains` are names by uuid.
    """
    values = stored(extension) if extension else dict(_DEFAULTS)
    parts = [_number(values, may), _password(values, may)]
    parts += [
        _input(field, values[field.name], toll_names)
        for field in FIELDS
        if not field.right or may(field.right)
    ]
    if may("extension_domain"):
        parts.append(_domains(extension, domains))
    hidden = {"id": "", "delete_type": "", "delete_uuid": "", "device_line_uuid": ""}
    if extension:
        hidden |= {"extension_uuid": extension.uuid, "id": extension.uuid}
    hidden[token[0]] = token[1]
    parts += [f"<input type='hidden' name='{n}' value='{escape(v)}'>" for n, v in hidden.items()]
    body = "".join(
        f"<tr>\n<td class='vtable' align='left'>\n{part}\n</td>\n</tr>\n" for part in parts
    )
    return f"<form method='post' name='frm' id='frm'>\n<table>\n{body}</table>\n</form>\n"


def _number(values: Mapping[str, str], may: May) -> str:
    number = escape(values.get("extension", ""))
    if not may("extension_extension"):
        return number
    return (
        "<input class='formfld' type='text' name='extension' maxlength='255' "
        f"value=\"{number}\" required='required'>"
    )


def _password(values: Mapping[str, str], may: May) -> str:
    if not may("extension_password"):
        return ""
    password = escape(values.get("password", ""))
    return (
        "<input type='password' style='display: none;' disabled='disabled'>\n"
        "<input class='formfld' type='password' name='password' id='password' "
        f"autocomplete='new-password' maxlength='50' value=\"{password}\">"
    )


def _input(field: Field, value: str, toll_names: Sequence[str]) -> str:
    shown = value.replace(":", ",") if field.name == "toll_allow" else value
    options = ("", *toll_names) if field.name == "toll_allow" and toll_names else field.options
    if not options:
        kind = "password" if field.name == "voicemail_password" else "text"
        return (
            f"<input class='formfld' type='{kind}' name='{field.name}' maxlength='255' "
            f'value="{escape(shown)}">'
        )
    # An option is marked only where it is the present value: else a browser sends the first one.
    listed = "".join(
        f"<option value='{escape(option)}'{_marked(option == shown)}>{escape(option)}</option>\n"
        for option in options
    )
    return f"<select class='formfld' name='{field.name}' id='{field.name}'>\n{listed}</select>"


def _marked(is_present: bool) -> str:
    return " selected='selected'" if is_present else ""


def _domains(extension: SimulatedExtension | None, domains: Mapping[str, str]) -> str:
    own = extension.domain.lower() if extension else ""
    listed = "".join(
        f"<option value='{uuid}'{_marked(name.lower() == own)}>{escape(name)}</option>\n"
        for uuid, name in domains.items()
    )
    return f"<select class='formfld' name='domain_uuid'>\n{listed}</select>"


def apply(extension: SimulatedExtension, posted: Mapping[str, str], may: May, *, line: str) -> None:
    """Store the posted fields as FusionPBX does: a missing field becomes empty.

    A field that the user has no right to is not changed. An empty password becomes a new one.
    """
    if may("extension_extension"):
        extension.number = posted.get("extension", "").replace(" ", "-")
    password = posted.get("password", "")
    if not password and may("extension_password"):
        password = secrets.token_urlsafe(15)
    extension.password = password or extension.password
    values = stored(extension)
    for field in FIELDS:
        value = posted.get(field.name, "")
        kept = field.kept_on_56 and line != "5.5" and field.name not in posted
        if kept or (field.right and not may(field.right)) or (field.only_if_given and not value):
            continue
        values[field.name] = value
    extension.toll_allow = values["toll_allow"].replace(",", ":")
    extension.enabled = values["enabled"] == "true"
    extension.accountcode = values["accountcode"]
    extension.user_context = values["user_context"]
    extension.caller_name = values["effective_caller_id_name"]
    extension.caller_number = values["effective_caller_id_number"]
    apart = {"extension", "password", "toll_allow", "enabled", "accountcode", "user_context"}
    apart |= {"effective_caller_id_name", "effective_caller_id_number"}
    extension.form = {name: value for name, value in values.items() if name not in apart}
    extension.voicemail = True
