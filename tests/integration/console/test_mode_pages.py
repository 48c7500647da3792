"""The page of modes, on a real API and database: a wave is seen, confirmed and switched."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.support.accounts import TOKEN, RunningApi, running_api
from tests.support.commands import Operator
from tests.support.console import RunningConsole, running_console

PREVIEW = "/settings/modes/preview?to=live"
SWITCH = "/settings/modes/switch"


@dataclass
class Desk:
    """An operator's browser, and what other services would write."""

    console: RunningConsole
    operator: Operator

    @property
    def api(self) -> RunningApi:
        return self.operator.api

    async def modes(self) -> dict[str, str]:
        """The mode of each client."""
        rows = await self.api.database.fetch("select account_id, mode from accounts.account")
        return {row["account_id"]: row["mode"] for row in rows}


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    """In shadow: bert and cora have credit, anna has none, old-1 was never posted to."""
    async with running_api(database, default_mode="shadow") as api:
        made = Operator(api)
        for account, balance in (("anna", -1), ("bert", 5), ("cora", 7)):
            await api.client(account, company_name=f"{account} <Ltd>", opening_balance=f"{balance}")
            await made.product(account, f"pbx-{account}")
            await made.posted(account, balance * 1_000_000)
            await made.level(account, "exhausted" if balance < 0 else "ok", balance * 1_000_000)
            would = "suspended" if balance < 0 else "active"
            await made.service(account, f"pbx-{account}", "active", would=would, live=False)
        await api.client("old-1")
        await api.database.execute("delete from accounts.payment where account_id = 'old-1'")
        async with running_console(api.url) as console:
            assert (await console.login(TOKEN)).status_code == 303
            yield Desk(console, made)


async def test_the_page_says_who_would_be_off_and_who_cannot_go_live(desk: Desk) -> None:
    assert (await desk.console.http.get("/settings")).headers["location"] == "/settings/modes"
    page = await desk.console.page("/settings/modes")
    assert "<dt>in shadow</dt><dd>4</dd>" in page
    assert "<dt>cannot go live</dt><dd>1</dd>" in page
    assert "anna &lt;Ltd&gt;" in page
    assert "no credit: balance -1.00" in page
    assert "bert" not in page
    assert "Nobody is live." in page


async def test_a_wave_is_shown_first_with_what_happens_to_each(desk: Desk) -> None:
    page = await desk.console.page(f"{PREVIEW}&size=10")
    assert "Stay on: 2. Switched off: 1." in page
    assert "Cannot go live: 1." in page
    assert page.index("bert &lt;") < page.index("cora &lt;") < page.index("anna &lt;")
    assert page.index("anna &lt;") < page.index("old-1")
    assert "it is switched off: no credit" in page
    assert 'value="bert on"' in page
    assert 'value="old-1' not in page, "who cannot go live cannot be ticked"
    assert set((await desk.modes()).values()) == {"shadow"}
    found = await desk.console.page(f"{PREVIEW}&search=cora")
    assert "cora" in found
    assert "bert" not in found
    assert "No client in the other mode is like that" in await desk.console.page(
        f"{PREVIEW}&search=nobody"
    )


async def test_the_ticked_clients_go_live_and_are_shown_as_the_pbx_confirms_them(
    desk: Desk,
) -> None:
    chosen = ["bert on", "anna off"]
    text = await desk.console.submit(PREVIEW, SWITCH, to="live", client=chosen, reason="first ones")
    assert "2 of 2 clients are live now." in text
    modes = await desk.modes()
    assert modes == {"anna": "live", "bert": "live", "cora": "shadow", "old-1": "shadow"}
    part = "/settings/modes/part/wave?to=live&client=bert&client=anna"
    assert part.replace("&", "&amp;") in text
    assert '<span class="state off">' not in await desk.console.page(part)
    await desk.operator.service("anna", "pbx-anna", "suspended")
    page = await desk.console.page(part)
    assert '<span class="state off">off</span>' in page
    assert "1 on, 1 off" in page
    audit = (await desk.api.http.get("/v1/clients/anna/audit")).json()["items"]
    assert (audit[0]["what"], audit[0]["reason"]) == ("mode set to live", "first ones")


async def test_what_changed_since_it_was_shown_is_not_switched(desk: Desk) -> None:
    """Bert was shown as one who stays on; since then his credit is used up."""
    await desk.operator.service("bert", "pbx-bert", "active", would="suspended", live=False)
    text = await desk.console.submit(PREVIEW, SWITCH, to="live", client=["bert on", "cora on"])
    assert "Nothing was changed: since you looked, something else happens to bert." in text
    assert 'value="bert off"' in text
    assert set((await desk.modes()).values()) == {"shadow"}


async def test_a_client_that_is_refused_is_named_and_the_others_go_live(desk: Desk) -> None:
    text = await desk.console.submit(
        PREVIEW, SWITCH, to="live", client=["old-1 refused", "cora on"]
    )
    assert "1 of 2 clients are live now." in text
    assert "old-1: " in text
    assert "opening balance first" in text
    assert (await desk.modes())["cora"] == "live"
    none = await desk.console.submit(PREVIEW, SWITCH, to="live")
    assert "Choose at least one client." in none


async def test_a_wave_goes_back_into_shadow_and_may_leave_off_what_is_off(desk: Desk) -> None:
    for account in ("anna", "bert"):
        await desk.api.put(f"clients/{account}/mode", {"mode": "live"})
    await desk.operator.service("anna", "pbx-anna", "suspended")
    page = "/settings/modes/preview?to=shadow"
    assert "what ringfence switched off is switched on again" in await desk.console.page(page)
    fields: dict[str, str | list[str]] = {"to": "shadow", "client": ["anna on"], "leave": "yes"}
    text = await desk.console.submit(page, SWITCH, **fields)
    assert "1 of 1 clients are in shadow now." in text
    (left,) = await desk.api.database.fetch(
        "select leave_off from accounts.account where account_id = 'anna' and mode = 'shadow'"
    )
    assert left["leave_off"]


async def test_the_brake_is_shown_and_released_as_the_suspender_answers(desk: Desk) -> None:
    assert "It is off: clients are switched off" in await desk.console.page("/settings/modes")
    await desk.api.database.execute(
        "update suspender.brake set on_since = now(), cause = 'rates of <b>deck 12</b>'"
    )
    assert "rates of &lt;b&gt;deck 12&lt;/b&gt;" in await desk.console.page("/settings/modes")
    assert "until the brake is released" in await desk.console.page(PREVIEW)
    for order in ("undo", "release"):
        text, request = await asyncio.gather(
            desk.console.submit("/settings/modes", f"/settings/modes/brake/{order}", reason="why"),
            desk.operator.answered("done", f"as for {order}"),
        )
        assert f"as for {order}" in text
        assert (request["command"], request["reason"]) == (f"brake.{order}", "why")


async def test_who_may_only_read_sees_the_page_and_switches_nothing(desk: Desk) -> None:
    body = {"operator": "reader", "scopes": ["read"]}
    secret = (await desk.api.http.post("/v1/tokens", json=body)).json()["secret"]
    async with running_console(desk.api.url) as visitor:
        await visitor.login(secret)
        page = await visitor.page(PREVIEW)
        assert "ask an administrator for the scope operate" in page
        text = await visitor.submit(PREVIEW, SWITCH, to="live", client=["cora on"])
        assert "this request needs operate" in text
    assert (await desk.modes())["cora"] == "shadow"


async def test_a_form_of_another_site_switches_nothing(desk: Desk) -> None:
    given = {"to": "live", "client": "cora on", "proof": "0" * 64}
    for path in (SWITCH, "/settings/modes/brake/release"):
        assert (await desk.console.http.post(path, data=given)).status_code == 403, path
    assert (await desk.modes())["cora"] == "shadow"
