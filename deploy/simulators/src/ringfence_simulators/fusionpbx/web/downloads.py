"""Downloads of tables of the session's domain as CSV, with selected columns, properly quoted."""

import csv
import io
import json
from collections.abc import Iterable

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import SESSION, FusionPbxLogins, page, redirect
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import Destination, SimulatedExtension
from ringfence_simulators.fusionpbx.web.extension_form import stored
from ringfence_simulators.fusionpbx.web.pages import document, hidden

EXTENSIONS = "/app/extensions/extension_download.php"
DESTINATIONS = "/app/destinations/destination_download.php"
_RIGHTS = {EXTENSIONS: "extension_export", DESTINATIONS: "destination_export"}

EXTENSION_COLUMNS = (
    *("extension_uuid", "domain_uuid", "extension", "number_alias", "password", "accountcode"),
    *("effective_caller_id_name", "effective_caller_id_number", "outbound_caller_id_name"),
    *("outbound_caller_id_number", "emergency_caller_id_name", "emergency_caller_id_number"),
    *("directory_first_name", "directory_last_name", "directory_visible"),
    *("directory_exten_visible", "limit_max", "limit_destination", "missed_call_app"),
    *("missed_call_data", "user_context", "toll_allow", "call_timeout", "call_group"),
    *("call_screen_enabled", "user_record", "hold_music", "auth_acl", "cidr"),
    *("sip_force_contact", "nibble_account", "sip_force_expires", "mwi_account"),
    *("sip_bypass_media", "dial_string", "enabled", "description", "absolute_codec_string"),
)
DESTINATION_COLUMNS = (
    *("domain_uuid", "destination_uuid", "destination_type", "destination_number"),
    *("destination_context", "destination_actions", "destination_enabled"),
    "destination_description",
)


class DownloadPages:
    """The handlers."""

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins

    def routes(self) -> list[web.RouteDef]:
        """Both downloads."""
        return [web.route("*", path, self.download) for path in _RIGHTS]

    async def download(self, request: web.Request) -> web.Response:
        """GET: the form. POST with `column_group[]` and the form's token: the CSV.

        Unknown columns are skipped. Without rows the body is empty, without a header.
        """
        form = await request.post()
        columns = [str(value) for value in form.getall("column_group[]", [])]
        fields = {name: str(value) for name, value in form.items()}
        right = _RIGHTS[request.path]
        if answer := self._logins.guard(request, {**request.query, **fields}, right):
            return answer
        session = request[SESSION]
        known = EXTENSION_COLUMNS if request.path == EXTENSIONS else DESTINATION_COLUMNS
        chosen = [name for name in columns if name in known]
        if not chosen:
            token = session.new_token(request.path)
            return page(_form(known, token.name, token.value, session.take_messages()))
        if not session.accepts(request.path, fields):
            session.add_message("negative", "Invalid Token")
            return redirect(request.path.rpartition("/")[2])
        body = _csv(chosen, self._rows(request.path, session.domain))
        name = request.path.rpartition("/")[2].replace("download.php", "export.csv")
        headers = {"Content-Disposition": f"attachment;filename={name}"}
        return web.Response(body=body, content_type="application/download", headers=headers)

    def _rows(self, path: str, domain: str) -> list[dict[str, str]]:
        uuid = self._pbx.domains[domain].uuid
        if path == EXTENSIONS:
            return [
                _extension(one, uuid)
                for one in self._pbx.extensions.values()
                if one.domain.lower() == domain
            ]
        return [
            _destination(one, uuid)
            for one in self._pbx.destinations.values()
            if one.domain.lower() == domain
        ]


def _extension(one: SimulatedExtension, domain_uuid: str) -> dict[str, str]:
    return {**stored(one), "extension_uuid": one.uuid, "domain_uuid": domain_uuid}


def _destination(one: Destination, domain_uuid: str) -> dict[str, str]:
    return {
        "domain_uuid": domain_uuid,
        "destination_uuid": one.uuid,
        "destination_type": "inbound",
        "destination_number": one.number,
        "destination_context": "public",
        "destination_actions": json.dumps(one.actions),
        "destination_enabled": "true" if one.enabled else "false",
        "destination_description": one.description,
    }


def _csv(columns: list[str], rows: Iterable[dict[str, str]]) -> bytes:
    listed = [[row.get(name, "") for name in columns] for row in rows]
    if not listed:
        return b""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *listed])
    return text.getvalue().encode()


def _form(columns: Iterable[str], name: str, value: str, messages: dict[str, list[str]]) -> str:
    boxes = "".join(
        f"<tr class='list-row'><td><input type='checkbox' name='column_group[]' value=\"{column}\">"
        f"</td>\n<td>{column}</td></tr>\n"
        for column in columns
    )
    body = f"<table class='list'>\n{boxes}</table>\n{hidden(name, value)}"
    return document("Export", f"<form method='post' name='frm'>\n{body}</form>\n", messages)
