"""Takes away an extension's right to call out: its toll_allow is emptied, and later restored.

Inbound and emergency calls still work. The value is read from the download of the domain's
extensions, or from each extension's form if the key's user may not download. It is written by
posting the whole form as it was shown, with that one field changed: FusionPBX stores every field of
the form, and empties those that are missing. A form that cannot be posted whole is not posted.
"""

from collections.abc import Collection, Mapping, Sequence

from ringfence.clock import Clock
from ringfence_contracts.errors import Retry, shown
from ringfence_pbx.errors import Refused
from ringfence_pbx.fusionpbx.download import COLUMNS, DOWNLOAD, download
from ringfence_pbx.fusionpbx.form import MAX_FIELDS, FormField, PageForm, read_form
from ringfence_pbx.fusionpbx.session import FusionPbxSession
from suspender.drivers.driver import (
    ElementChange,
    ElementReading,
    Failure,
    OperatorMustAct,
    SwitchDone,
    SwitchTarget,
)
from suspender.drivers.fusionpbx.evidence import not_there
from suspender.drivers.fusionpbx.extensions import ExtensionLists, Extensions, extension_key
from suspender.drivers.fusionpbx.sessions import Sessions, each_tenant
from suspender.rules.elements import Element

EDIT = "/app/extensions/extension_edit.php"
FIELD = "toll_allow"
_UNTOUCHED = ("domain_uuid", "extension", "enabled", "accountcode", "user_context")
"""Fields that an incomplete form is known to destroy: they are compared afterwards."""

Stored = Mapping[str, str]
"""An extension's stored values by column; fewer columns without the right to download."""


class Outbound:
    """The right to call out, of the extensions of one server."""

    def __init__(
        self, sessions: Sessions, lists: ExtensionLists, extensions: Extensions, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._lists = lists
        self._extensions = extensions
        self._clock = clock

    async def read(
        self, targets: Collection[SwitchTarget]
    ) -> dict[Element, ElementReading | Failure]:
        """The stored values; an empty one is off."""
        by_tenant: dict[str, set[str]] = {}
        for tenant, number in (extension_key(target.element) for target in targets):
            by_tenant.setdefault(tenant, set()).add(number)

        async def of_one(tenant: str) -> dict[str, Stored]:
            async with self._sessions.within(tenant) as session:
                return await self._stored(session, tenant, by_tenant[tenant])

        found, failures = await each_tenant(sorted(by_tenant), of_one)
        _raise_if_unanswered(found, failures)
        read: dict[Element, ElementReading | Failure] = {}
        for element in (target.element for target in targets):
            tenant, number = extension_key(element)
            if tenant in failures:
                read[element] = failures[tenant]
            else:
                read[element] = _reading(number, found[tenant].get(number))
        return read

    async def _stored(
        self, session: FusionPbxSession, tenant: str, numbers: Collection[str]
    ) -> dict[str, Stored]:
        """The stored values of a tenant's extensions, by number."""
        rows = await self._download(session, tenant)
        if rows is not None:
            return {row["extension"]: row for row in rows}
        listing = await session.list_rows(
            "extensions", until=lambda rows: {r.name for r in rows.values()} >= set(numbers)
        )
        stored: dict[str, Stored] = {}
        for row in listing.rows.values():
            if row.name in numbers:
                form = await self._form(session, row.uuid)
                value = _shown_value(session, row.name, form)
                stored[row.name] = {
                    "extension_uuid": row.uuid,
                    "extension": row.name,
                    FIELD: value,
                }
        return stored

    async def _download(self, session: FusionPbxSession, tenant: str) -> list[Stored] | None:
        """The rows, or None without the right to download.

        The rows contain their domain, so that a login in another domain is noticed.
        """
        rows = await download(session, DOWNLOAD, COLUMNS, ("extension_uuid", "extension", FIELD))
        if self._sessions.server.all_tenants and rows:
            domain = await session.domain_uuid(tenant)
            if any(row.get("domain_uuid", domain).lower() != domain for row in rows):
                session.forget_domain(tenant)
                raise Retry(f"{session.name}: the session is not in the domain {shown(tenant)}")
        return rows

    async def _form(self, session: FusionPbxSession, uuid: str) -> PageForm:
        answer = await session.page("GET", EDIT, {"id": uuid})
        if answer.denied:
            raise session.refused("shows no extension's form: give the key's user extension_edit")
        form = read_form(answer.text, "extension_uuid") or read_form(answer.text, "extension")
        if form is None or "</form>" not in answer.text:
            raise session.unexpected("the form of an extension", answer)
        return form

    async def switch(self, changes: Sequence[ElementChange]) -> dict[Element, SwitchDone | Failure]:
        """Tenant by tenant: read, save what differs, read back."""
        outcomes: dict[Element, SwitchDone | Failure] = {}
        by_tenant: dict[str, list[ElementChange]] = {}
        for change in changes:
            by_tenant.setdefault(extension_key(change.target.element)[0], []).append(change)

        async def of_one(tenant: str) -> dict[Element, Failure | str]:
            async with self._sessions.within(tenant) as session:
                return await self._save(session, tenant, by_tenant[tenant])

        saved, failures = await each_tenant(sorted(by_tenant), of_one)
        _raise_if_unanswered(saved, failures)
        for tenant, failure in failures.items():
            outcomes |= {change.target.element: failure for change in by_tenant[tenant]}
        proof = ""
        for result in saved.values():
            for element, outcome in result.items():
                if isinstance(outcome, str):
                    proof = proof or await self._extensions.take_effect(element.tenant)
                    now = f"{self._clock.now():%H:%M:%SZ}"
                    outcomes[element] = SwitchDone(f"{outcome}, {proof}, read back {now}")
                else:
                    outcomes[element] = outcome
        return outcomes

    async def _save(
        self, session: FusionPbxSession, tenant: str, changes: Sequence[ElementChange]
    ) -> dict[Element, Failure | str]:
        """For each element the evidence, or why it could not be switched."""
        numbers = {change.target.element.name for change in changes}
        before = await self._stored(session, tenant, numbers)
        outcomes: dict[Element, Failure | str] = {}
        for change in changes:
            row = before.get(change.target.element.name)
            if row is None:
                what = f"extension {change.target.element.name}"
                outcomes[change.target.element] = not_there(session.name, what, change.target)
            elif _is_right(change, row[FIELD]):
                continue
            elif not change.off and not change.value.strip():
                outcomes[change.target.element] = OperatorMustAct(
                    f"{session.name}: toll_allow of extension {row['extension']} is empty, and "
                    "what it was is not on record: set it by hand"
                )
            elif failure := await self._save_one(session, change, row):
                outcomes[change.target.element] = failure
        after = await self._stored(session, tenant, numbers)
        for change in changes:
            number = change.target.element.name
            if change.target.element not in outcomes:
                outcomes[change.target.element] = _compared(
                    session, change, before[number], after.get(number)
                )
        return outcomes

    async def _save_one(
        self, session: FusionPbxSession, change: ElementChange, row: Stored
    ) -> Failure | None:
        uuid, number = row["extension_uuid"], change.target.element.name
        try:
            form = await self._form(session, uuid)
            changes = _fields_to_send(session, number, form, row, _wanted(change))
            pairs = form.filled(changes)
            answer = await session.page("POST", EDIT, {"id": uuid}, pairs)
        except (Refused, OperatorMustAct) as error:
            return OperatorMustAct(str(error))
        if answer.denied:
            text = f"{session.name} gives the key's user no right to save extensions"
            return OperatorMustAct(f"{text}: it needs extension_edit")
        return None


def _raise_if_unanswered(found: Mapping[str, object], failures: Mapping[str, Failure]) -> None:
    lasting = [error for error in failures.values() if isinstance(error, Retry)]
    if lasting and not found:
        raise lasting[0]


def _reading(number: str, row: Stored | None) -> ElementReading:
    if row is None:
        return ElementReading("missing")
    return ElementReading("on" if row[FIELD].strip() else "off", value=row[FIELD], name=number)


def _wanted(change: ElementChange) -> str:
    return "" if change.off else change.value


def _is_right(change: ElementChange, stored: str) -> bool:
    """Whether the stored value needs no change. A value that a person entered since stays."""
    return bool(stored.strip()) is not change.off


def _same(one: str, other: str) -> bool:
    """Whether two values are the same: names are stored with `:` and shown with a comma."""
    return one.strip().replace(",", ":") == other.strip().replace(",", ":")


def _shown_value(session: FusionPbxSession, number: str, form: PageForm) -> str:
    """The value that a form shows, in its stored form."""
    field = form.find(FIELD)
    if field is None:
        raise _no_field(session)
    if field.is_select and not field.chosen:
        raise OperatorMustAct(
            f"{session.name}: the form of extension {number} offers a list for toll_allow with "
            "nothing selected, so its stored value is not known: give the key's user "
            "extension_export"
        )
    return field.value.replace(",", ":")


def _no_field(session: FusionPbxSession) -> OperatorMustAct:
    return OperatorMustAct(
        f"{session.name}: the form of an extension does not show toll_allow: give the key's user "
        "extension_toll"
    )


def _fields_to_send(
    session: FusionPbxSession, number: str, form: PageForm, row: Stored, value: str
) -> dict[str, str]:
    """The fields to change in the form. Raises OperatorMustAct if it cannot be posted whole."""
    name = f"{session.name}: the form of extension {number}"
    field, password = form.find(FIELD), form.find("password")
    if field is None:
        raise _no_field(session)
    if password is None or not password.value:
        raise OperatorMustAct(
            f"{name} does not show its password, which saving could empty: give the key's user "
            "extension_password"
        )
    if not form.has_token or len(form.controls) > MAX_FIELDS:
        raise OperatorMustAct(f"{name} has no token, or more fields than a post may have")
    shown_number = form.find("extension")
    if shown_number is None:
        raise OperatorMustAct(
            f"{name} does not show its number, which saving could empty: give the key's user "
            "extension_extension"
        )
    if shown_number.value != number:
        raise Retry(f"{name} is that of another extension")
    changes = {FIELD: value.replace(":", ",")}
    for control in form.controls:
        if control.is_select and not control.chosen and control.name in row:
            changes |= _unselected(name, control, row[control.name], control.name == FIELD)
    return changes | {FIELD: value.replace(":", ",")}


def _unselected(name: str, control: FormField, stored: str, is_ours: bool) -> dict[str, str]:
    """The change for a list without selection: the stored value is empty, or not an option."""
    if stored.strip():
        raise OperatorMustAct(
            f"{name} offers a list for {control.name}, of which the stored value "
            f"{shown(stored, 60)} is no option: saving would lose it; add it to the options, or "
            "choose another way"
        )
    return {} if is_ours else {control.name: ""}


def _compared(
    session: FusionPbxSession, change: ElementChange, before: Stored, after: Stored | None
) -> Failure | str:
    number, value = change.target.element.name, _wanted(change)
    if after is None:
        return not_there(session.name, f"extension {number}", change.target)
    for column in _UNTOUCHED:
        if column in before and column in after and before[column] != after[column]:
            return OperatorMustAct(
                f"{session.name}: saving extension {number} changed its {column} from "
                f"{shown(before[column], 60)} to {shown(after[column], 60)}: put it right by hand, "
                "and choose another way for this product"
            )
    is_saved = not _is_right(change, before[FIELD])
    if not _is_right(change, after[FIELD]) or (is_saved and not _same(after[FIELD], value)):
        return Retry(
            f"{session.name}: toll_allow of extension {number} is {shown(after[FIELD], 60)} after "
            f"saving {shown(value, 60)}; if this stays so, the key's user may lack extension_toll "
            "or extension_edit"
        )
    if change.off:
        return f"extension {number} may not call out (toll_allow emptied)"
    return f"extension {number} may call out (toll_allow {shown(after[FIELD], 60)})"
