"""The part of Vodia's REST interface that ringfence uses."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from ringfence_simulators.vodia.calls import SimulatedVodiaCall
from ringfence_simulators.vodia.logins import SESSION_PATH, VodiaLogins
from ringfence_simulators.vodia.model import SimulatedVodia, SimulatedVodiaExtension, Trunk


class VodiaSite:
    """The handlers. `pages_sent` counts pages of the list; `before_page` is called before each.

    A change of a trunk (by id) or an extension (by number) for which `lies_about` is true is
    reported as done, but not done. `post` is called with each call that was hung up.
    """

    def __init__(
        self,
        pbx: SimulatedVodia,
        logins: VodiaLogins,
        lies_about: Callable[[str], bool],
        post: Callable[[SimulatedVodiaCall], Awaitable[None]],
    ) -> None:
        self._pbx = pbx
        self._logins = logins
        self._lies_about = lies_about
        self._post = post
        self.pages_sent = 0
        self.orders: list[tuple[str, str]] = []
        self.before_page: Callable[[int], None] = lambda page: None

    def routes(self) -> list[web.RouteDef]:
        """All paths of the REST interface."""
        domain, user = "/rest/domain/{domain}", "/rest/user/{user}/calls"
        return [
            web.get(SESSION_PATH, self._logins.probe),
            web.put(SESSION_PATH, self._logins.begin),
            web.get("/rest/system/domains", self.list_domains),
            web.get(f"{domain}/cdrs", self.cdrs),
            web.get(f"{domain}/domain_trunks", self.list_trunks),
            web.post(f"{domain}/domain_trunks", self.switch_trunk),
            web.put(f"{domain}/edit_trunk/{{trunk}}", self.switch_trunk),
            web.post(f"{domain}/domain_action", self.act),
            web.put(f"{domain}/domain_action", self.act),
            web.get(f"{domain}/user_settings/{{extension}}", self.extension),
            web.get(f"{domain}/users", self.list_users),
            web.get(f"{domain}/userlist/extensions", self.list_extensions),
            web.get(user, self.list_live),
            web.post(user, self.hang_up),
            web.put(user, self.hang_up),
        ]

    def _domain(self, request: web.Request) -> str:
        domain = request.match_info["domain"].lower()
        if domain not in self._pbx.domains:
            raise web.HTTPNotFound
        return domain

    def _note(self, request: web.Request) -> None:
        """Record a change; reply with 405 to the HTTP method of another version."""
        verbs = self._pbx.habits.verbs
        if verbs not in ("both", request.method.lower()):
            raise web.HTTPMethodNotAllowed(request.method, [verbs.upper()])
        self.orders.append((request.method, request.path_qs))

    async def list_domains(self, _: web.Request) -> web.Response:
        """The tenants' names, or 403 if they are hidden."""
        if self._pbx.habits.hidden_domains:
            raise web.HTTPForbidden
        return web.json_response(self._pbx.domains)

    async def list_users(self, request: web.Request) -> web.Response:
        """A tenant's accounts, in the format of the vendor's older catalogue."""
        if self._pbx.habits.lists_accounts != "users":
            raise web.HTTPNotFound
        return web.json_response([_user(e) for e in self._accounts(request)])

    async def list_extensions(self, request: web.Request) -> web.Response:
        """A tenant's extensions in the other format that clients expect, without their state."""
        if self._pbx.habits.lists_accounts != "userlist":
            raise web.HTTPNotFound
        found = [e for e in self._accounts(request) if e.type == "extensions"]
        rows = [{"name": e.number, "display": e.name} for e in found]
        return web.json_response({"action": "domain-list", "accounts": rows})

    def _accounts(self, request: web.Request) -> list[SimulatedVodiaExtension]:
        domain = self._domain(request)
        return [e for e in self._pbx.extensions.values() if e.domain == domain]

    async def cdrs(self, request: web.Request) -> web.Response:
        """A page of the list of calls; an empty one after the last."""
        page = int(request.query.get("page", "1"))
        size = min(int(request.query.get("size", "50")), self._pbx.habits.largest_page)
        self.before_page(page)
        self.pages_sent += 1
        calls = self._pbx.listed(self._domain(request))[(page - 1) * size : page * size]
        by = self._pbx.habits.listed_call_id
        return web.json_response([call.listed(by) for call in calls])

    async def list_trunks(self, request: web.Request) -> web.Response:
        """The trunks that the tenant can use."""
        return web.json_response([_row(t) for t in self._pbx.trunks_of(self._domain(request))])

    async def switch_trunk(self, request: web.Request) -> web.Response:
        """Disable or enable a trunk; the body has the new state."""
        self._note(request)
        wanted = request.match_info.get("trunk") or request.query.get("trunk", "")
        trunks = {trunk.id: trunk for trunk in self._pbx.trunks_of(self._domain(request))}
        if wanted not in trunks:
            raise web.HTTPNotFound
        state = str((await request.json())["dis"])
        if self._lies_about(wanted):
            return web.json_response(True)
        trunks[wanted].disabled = state
        if trunks[wanted].disabled == "true" and self._pbx.habits.disabling_drops_calls:
            self._pbx.live.clear()
        return web.json_response(True)

    async def act(self, request: web.Request) -> web.Response:
        """Disable or enable accounts; unknown names are ignored, or get a 400 if strict."""
        self._note(request)
        domain, order = self._domain(request), await request.json()
        if order["type"] != "accounts":
            raise web.HTTPBadRequest
        numbers = order["selected"].split()
        found = [e for number in numbers if (e := self._pbx.extensions.get((domain, number)))]
        if self._pbx.habits.strict_orders and len(found) < len(numbers):
            raise web.HTTPBadRequest
        for extension in found:
            if not self._lies_about(extension.number):
                extension.disabled = order["action"] == "disable_selected"
        return web.json_response(True)

    async def extension(self, request: web.Request) -> web.Response:
        """An extension's settings. The vendor documents neither this path nor the field."""
        extension = self._find(request.match_info["extension"], self._domain(request))
        return web.json_response({"disabled": "true" if extension.disabled else "false"})

    def _find(self, number: str, domain: str) -> SimulatedVodiaExtension:
        extension = self._pbx.extensions.get((domain, number))
        if extension is None:
            raise web.HTTPNotFound
        return extension

    async def list_live(self, request: web.Request) -> web.Response:
        """An extension's calls in progress."""
        extension = self._user(request)
        return web.json_response(self._pbx.live.get((extension.domain, extension.number), []))

    async def hang_up(self, request: web.Request) -> web.Response:
        """End one of an extension's calls in progress."""
        self._note(request)
        extension = self._user(request)
        call_id = str((await request.json())["hangup"])
        for call in self._pbx.hang_up(extension.number, extension.domain, call_id):
            await self._post(call)
        return web.json_response(True)

    def _user(self, request: web.Request) -> SimulatedVodiaExtension:
        number, _, domain = request.match_info["user"].partition("@")
        return self._find(number, domain.lower())


def _user(extension: SimulatedVodiaExtension) -> dict[str, object]:
    return {
        "id": f"{extension.number}",
        "name": extension.number,
        "alias": [extension.number, *extension.aliases],
        "ani": [],
        "displayname": extension.name,
        "disabled": extension.disabled,
        "usertype": extension.type,
    }


def _row(trunk: Trunk) -> dict[str, str]:
    return {
        "id": trunk.id,
        "name": trunk.name,
        "type": "register",
        "disabled": trunk.disabled,
        "global": trunk.shared,
        "status1": "200 Ok",
    }
