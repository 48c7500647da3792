"""Rows of calls that a FusionPBX does not hold, written into texts of its tenants."""

from typing import Any
from uuid import uuid4

from ringfence_pbx.fusionpbx.exports.signing import export_settings
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from ringfence_simulators.fusionpbx.calls import SimulatedFusionPbxCall, export_csv, make_call
from tests.support.narrow import present

SECRET = "s" * 40
"""With which the PBX's database signs the rows of the export."""


def row_line(pbx: FusionPbxSimulator, **columns: Any) -> str:
    """The line of a call in an export of all tenants, as a superadmin's export shows it."""
    spec = {"xml_cdr_uuid": str(uuid4()), **columns}
    domain = present(pbx.pbx.domains.get(str(spec["domain_name"]).lower()))
    call = make_call(spec, domain.uuid, pbx.pbx.now())
    return line_of(call)


def line_of(call: SimulatedFusionPbxCall, **changed: str) -> str:
    """The line of a call in an export, with changed values."""
    row = {**call.columns, **changed}
    return export_csv([(call, row)], superadmin=True, show_all=True).decode().splitlines()[1]


def hold_rows(pbx: FusionPbxSimulator, number: str, domain: str, *lines: str) -> None:
    """Write rows into the name of an extension, as its tenant's administrator can."""
    text = 'Bob"\n' + "\n".join(lines) + '\n"x'
    set_name(pbx, number, domain, text)


def set_name(pbx: FusionPbxSimulator, number: str, domain: str, text: str) -> None:
    """Set the effective caller name of an extension."""
    present(pbx.pbx.find_extension(number, domain)).caller_name = text


def sign(pbx: FusionPbxSimulator) -> None:
    """Enter the settings, in force from the next login on."""
    for setting in export_settings(SECRET):
        pbx.pbx.default_settings.append({**setting._asdict(), "enabled": "true"})
    pbx.logins.sessions.clear()
