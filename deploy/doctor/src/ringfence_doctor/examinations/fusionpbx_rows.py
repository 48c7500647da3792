"""Checks whether a row that a tenant forged in FusionPBX's export would be noticed."""

from ringfence_contracts.errors import BadInput, Retry
from ringfence_doctor.check_result import CheckResult, CheckState
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.exports.samples import (
    ExportColumns,
    count_signed,
    narrow_answer,
    newest_rows,
)
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from ringfence_pbx.servers import FusionPbxServer

_IMMUNE = (
    "where tenants administer themselves, prefer one of: `ringfence server sign-export {server}`,"
    ' way = "database"; docs/servers.md'
)
_OLD = 'rows cannot be confirmed one by one: sign the export, or set way = "database"'
_BROKEN = (
    "give the key's user the rights xml_cdr_all and xml_cdr_domain, and look at the default"
    " settings cdr/export in FusionPBX: rows that are not confirmed are not charged"
)


class RowExamination:
    """The check of one FusionPBX under one host name."""

    def __init__(
        self, server_id: str, subject: str, server: FusionPbxServer, session: FusionPbxSession
    ) -> None:
        self._server_id = server_id
        self._subject = subject
        self._server = server
        self._session = session

    async def found(self) -> list[CheckResult]:
        """Whether rows are signed; where not, whether one call can be asked for."""
        if self._server.way == "database":
            return [self._result("ok", "calls come from its database: no text can hold a row")]
        try:
            return await self._of_export()
        except (Refused, Retry, BadInput) as error:
            return [self._result("fail", str(error), _BROKEN)]

    async def _of_export(self) -> list[CheckResult]:
        rows = await newest_rows(self._session, all_tenants=self._server.all_tenants)
        if not rows:
            message = "no call of the last week to try it with"
            return [self._result("ok", message, _IMMUNE.format(server=self._server_id))]
        secret = self._server.export_secret
        if secret is None:
            return [await self._confirmed(rows[0], _IMMUNE.format(server=self._server_id))]
        signed = count_signed(rows, secret.read().get_secret_value())
        if signed == len(rows):
            return [self._result("ok", "its database signs the rows of the export")]
        message = f"{len(rows) - signed} of {len(rows)} rows have no right signature"
        action = (
            f"`ringfence server sign-export {self._server_id}` enters the settings; until then,"
            " each new row is confirmed by a request of its own"
        )
        return [self._result("warn", message, action), await self._confirmed(rows[0])]

    async def _confirmed(self, row: ExportColumns, action: str = "") -> CheckResult:
        answer = await narrow_answer(self._session, row, all_tenants=self._server.all_tenants)
        if not answer.found:
            return self._result("fail", "a call that it lists is not found by its id", _BROKEN)
        if not answer.finds_no_other:
            return self._result("fail", "it ignores the id of a call in its export", _OLD)
        message = f"new rows are confirmed one by one, in {answer.took_s * 1000:.0f} ms each"
        return self._result("ok", message, action)

    def _result(self, state: CheckState, message: str, action: str = "") -> CheckResult:
        return CheckResult(self._subject, "forged rows", state, message, action)
