"""The page of a default setting."""

from aiohttp import web

from ringfence_simulators.fusionpbx.access.logins import (
    SESSION,
    FusionPbxLogins,
    page,
    redirect,
)
from ringfence_simulators.fusionpbx.model import SimulatedFusionPbx
from ringfence_simulators.fusionpbx.web.pages import document, hidden

EDIT = "/core/default_settings/default_setting_edit.php"
_FIELDS = ("category", "subcategory", "name", "value", "order", "enabled", "description")


class DefaultSettingPages:
    """The handlers: the empty form, and a post of it that adds a setting."""

    def __init__(self, pbx: SimulatedFusionPbx, logins: FusionPbxLogins) -> None:
        self._pbx = pbx
        self._logins = logins

    def routes(self) -> list[web.RouteDef]:
        """The form by GET and POST."""
        return [web.get(EDIT, self.show), web.post(EDIT, self.save)]

    async def show(self, request: web.Request) -> web.Response:
        """The form of a new setting; access denied without the right default_setting_add."""
        if answer := self._logins.guard(request, dict(request.query), "default_setting_add"):
            return answer
        session = request[SESSION]
        token = session.new_token(EDIT)
        inputs = "".join(
            f"<input class='formfld' type='text' name='default_setting_{name}' value=''>\n"
            for name in _FIELDS
        )
        body = (
            f"<form method='post' name='frm'>\n{inputs}{hidden(token.name, token.value)}</form>\n"
        )
        return page(document("Default Setting", body, session.take_messages()))

    async def save(self, request: web.Request) -> web.Response:
        """Store the setting byte for byte; sessions that are logged in already do not see it."""
        posted = {name: str(value) for name, value in (await request.post()).items()}
        fields = {**request.query, **posted}
        if answer := self._logins.guard(request, fields, "default_setting_add"):
            return answer
        session = request[SESSION]
        if not session.accepts(EDIT, posted):
            session.add_message("negative", "Invalid Token")
            return redirect("default_settings.php")
        setting = {name: posted.get(f"default_setting_{name}", "") for name in _FIELDS}
        self._pbx.default_settings.append(setting)
        self._pbx.journal.write(kind="default_setting", setting=setting)
        session.add_message("positive", "Add Completed")
        return redirect("default_settings.php")
