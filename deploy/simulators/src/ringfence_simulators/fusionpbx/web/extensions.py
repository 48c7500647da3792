"""The page of an extension."""

from collections.abc import Callable

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import (
    SESSION,
    FusionPbxLogins,
    Session,
    denied,
    page,
    redirect,
)
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.things import SimulatedExtension
from ringfence_simulators.fusionpbx.web.extension_form import apply, form_html
from ringfence_simulators.fusionpbx.web.pages import document

EDIT = "/app/extensions/extension_edit.php"


class ExtensionPages:
    """The handlers. `lies_about`: whether a save of this uuid is only reported as done."""

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins
        self.lies_about: Callable[[str], bool] = lambda _: False

    def routes(self) -> list[web.RouteDef]:
        """The form by GET and POST."""
        return [web.get(EDIT, self.show), web.post(EDIT, self.save)]

    async def show(self, request: web.Request) -> web.Response:
        """The form of an extension of any domain."""
        if answer := self._logins.check(request, dict(request.query)):
            return answer
        session = request[SESSION]
        if not _may_open(session):
            return denied()
        token = session.new_token(EDIT)
        html = form_html(
            self._pbx.extensions.get(request.query.get("id", "")),
            session.may,
            self._pbx.toll_names,
            {domain.uuid: domain.name for domain in self._pbx.domains.values()},
            (token.name, token.value),
        )
        return page(document("Extension", html, session.take_messages()))

    async def save(self, request: web.Request) -> web.Response:
        """Store every field of the form; the message is always "Update Completed".

        In release 5.5 the extension is moved to the posted domain, or without the right
        extension_domain to the session's.
        """
        posted = {name: str(value) for name, value in (await request.post()).items()}
        if answer := self._logins.check(request, {**request.query, **posted}):
            return answer
        session, uuid = request[SESSION], request.query.get("id", "")
        if not _may_open(session):
            return denied()
        if not session.accepts(EDIT, posted):
            session.add_message("negative", "Invalid Token")
            return redirect("extensions.php")
        if session.may("extension_extension") and not posted.get("extension"):
            return page("<table><tr><td>\nRequired: Extension<br>\n</td></tr></table>\n")
        if session.may("extension_edit") and not self.lies_about(uuid):
            self._store(session, uuid, posted)
        session.add_message("positive", "Update Completed")
        return redirect(f"extension_edit.php?id={uuid}")

    def _store(self, session: Session, uuid: str, posted: dict[str, str]) -> None:
        domain = self._domain(session, posted)
        known = self._pbx.extensions.get(uuid)
        extension = known or self._pbx.add_extension(
            SimulatedExtension(posted.get("extension", ""), domain, uuid, voicemail=False)
        )
        apply(extension, posted, session.may, line=self._logins.line)
        if self._logins.line == "5.5" or session.may("extension_domain"):
            extension.domain = domain
        self._pbx.save_extension(extension)
        if self._pbx.event_socket and session.may("extension_cidr"):
            self._pbx.commands["reloadacl"] += 1
        context = posted.get("user_context", "")
        self._pbx.delete_cached(extension.number, context or extension.user_context)

    def _domain(self, session: Session, posted: dict[str, str]) -> str:
        names = {domain.uuid: domain.name for domain in self._pbx.domains.values()}
        own = self._pbx.domains[session.domain].name
        if not session.may("extension_domain"):
            return own
        return names.get(posted.get("domain_uuid", ""), own)


def _may_open(session: Session) -> bool:
    return session.may("extension_edit") or session.may("extension_add")
