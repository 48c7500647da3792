"""An operator's day in a real browser, on the whole stack."""

import re
from datetime import UTC, datetime

import httpx
import pytest
from playwright.async_api import Page, expect

from console.pages.month_costs import period_of
from ringfence_local.demo.sample import TARIFF, SampleClient
from ringfence_local.demo.scene import PBX_ID
from ringfence_testing.wait import until
from tests.support.browser import (
    WIDTHS,
    browser_page,
    chromium,
    overflow,
    serious_faults,
    take_picture,
)
from tests.support.stack_harness import StackHarness

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(1800),
    pytest.mark.skipif(chromium() is None, reason="Chromium is not installed: .ci/engine does it"),
]
SHOP = SampleClient(
    "7001", "Cora", "Shop", "Corner Shop", "shop.web.example", "5195557001", ("2112",), "2.00"
)
MINUTE = {
    "domain_name": SHOP.tenant,
    "extension": "2112",
    "direction": "outbound",
    "destination_number": "01188165501000",  # to a satellite: 1.80 a minute
    "billsec": 60,
}
SOON_MS = 240_000
expect.set_options(timeout=120_000)


async def log_in(page: Page, town: StackHarness) -> None:
    """By a link that is valid once, as `make run` prints it."""
    known = [each["name"] for each in (await town.door.ask("/operators"))["items"]]
    if "olga" not in known:
        await town.door.post("/operators", {"name": "olga", "scopes": ["admin"]})
    link = await town.door.post("/login-links", {"operator": "olga"})
    await page.goto(f"{town.stack.console_url}/login#{link['secret']}")
    await expect(page.get_by_role("heading", name="Who runs out first")).to_be_visible()


async def looked_at_deck(town: StackHarness, text: str) -> str:
    """Upload a carrier's file; the path of its page."""
    async with httpx.AsyncClient(base_url=town.stack.api_url) as http:
        answer = await http.post(
            f"/v1/tariffs/{TARIFF}/decks?file_name=lyria.csv",
            content=text.encode(),
            headers={"Authorization": f"Bearer {town.stack.api_token}"},
        )
    return f"/rates/{TARIFF}/decks/{answer.json()['deck_id']}"


async def drop_file(page: Page, name: str, text: str) -> None:
    """Drop a file on the form that takes one, as a person does with the mouse."""
    dragged = await page.evaluate_handle(
        "([name, text]) => { const drag = new DataTransfer();"
        " drag.items.add(new File([text], name, { type: 'text/csv' })); return drag; }",
        [name, text],
    )
    form = "form[data-drop]"
    await page.dispatch_event(form, "dragover", {"dataTransfer": dragged})
    await expect(page.locator(form)).to_have_class(re.compile("over"))
    await page.dispatch_event(form, "drop", {"dataTransfer": dragged})


def this_month() -> str:
    """The month of the calls of these tests."""
    return f"{datetime.now(UTC):%Y-%m}"


async def priced_again(town: StackHarness) -> str:
    """Have the month's calls priced by version 1; the path of the page with the result."""
    month = this_month()
    period = period_of(month)
    assert period is not None
    asked = {"tariff": TARIFF, "version": "1", "from": period[0], "to": period[1]}
    job = (await town.door.post("/reratings", asked))["request_id"]

    async def done() -> bool:
        return str((await town.door.ask(f"/jobs/{job}"))["state"]) == "done"

    await until(done, timeout_s=SOON_MS / 1000)
    return f"/rates/{TARIFF}/month?version=1&month={month}&job={job}"


async def test_a_client_is_seen_to_run_out_pays_and_is_back_without_a_reload(
    town: StackHarness,
) -> None:
    await town.move_in(SHOP)
    async with browser_page() as page:
        await log_in(page, town)
        row = page.get_by_role("row").filter(has_text=SHOP.company)
        await expect(row).to_be_visible(timeout=SOON_MS)

        await town.door.pbx("calls", [MINUTE] * 2)
        await expect(row.locator(".state.off")).to_be_visible(timeout=SOON_MS)
        feed = page.locator("#feed")
        await expect(feed.get_by_text("credit is used up").first).to_be_visible(timeout=SOON_MS)

        await expect(page.get_by_text("Switched off: 1.")).to_be_visible(timeout=SOON_MS)

        await row.get_by_role("link", name=SHOP.company).click()
        await expect(page.get_by_text("s after the call ended")).to_be_visible(timeout=SOON_MS)
        await expect(page.get_by_text("a payment of more than 1.60").first).to_be_visible()
        await page.get_by_label("Amount in CAD").fill("20")
        await page.get_by_label("Reference").fill("cheque 7")
        await page.get_by_role("button", name="Enter").click()
        await expect(page.locator(".result.good")).to_contain_text("top-up of 20")
        state = page.locator("[data-from$='/part/state']")
        await expect(state.locator("table .state.on")).to_be_visible(timeout=SOON_MS)

        await expect(state.get_by_text("s after the payment")).to_be_visible(timeout=SOON_MS)

        statement = page.locator(".tab")
        await expect(statement.get_by_text("cheque 7")).to_be_visible()
        await expect(statement.locator("tr.sum").first).to_contain_text("$18.40")


async def test_an_order_with_a_reason_and_an_end_switches_off_and_is_ended(
    town: StackHarness,
) -> None:
    async with browser_page() as page:
        await log_in(page, town)
        await page.goto(f"{town.stack.console_url}/clients/{SHOP.account_id}")
        await page.get_by_label("Reason").fill("moves house")
        await page.get_by_label("Until the end of").fill("2031-05-06")
        await page.get_by_role("button", name="Give the order").click()
        state = page.locator("[data-from$='/part/state']")
        await expect(state.locator("table .state.off")).to_be_visible(timeout=SOON_MS)
        await expect(state.get_by_text("moves house").first).to_be_visible()

        await state.get_by_role("button", name="End it").click()
        await expect(state.locator("table .state.on")).to_be_visible(timeout=SOON_MS)

        await page.get_by_role("link", name="History").click()
        await expect(page.locator(".tab").get_by_text("moves house").first).to_be_visible()


async def test_a_server_is_paused_and_resumed_as_the_suspender_confirms(
    town: StackHarness,
) -> None:
    async with browser_page() as page:
        await log_in(page, town)
        await page.goto(f"{town.stack.console_url}/servers")
        await page.get_by_role("link", name="Pause").click()
        await page.get_by_label("Reason").fill("upgrade to 5.6")
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator(".result.good")).to_be_visible()
        row = page.get_by_role("row").filter(has_text=PBX_ID)
        await expect(row.locator(".state.low")).to_have_text("paused")
        await expect(row).to_contain_text("by olga: upgrade to 5.6")
        await row.get_by_role("button", name="Resume").click()
        await expect(row.locator(".state.low")).to_have_count(0)


async def test_clients_go_live_in_a_wave_as_the_pbx_confirms_it(town: StackHarness) -> None:
    """The client goes into shadow, and is back: seen first, confirmed, and shown by its state."""
    async with browser_page() as page:
        await log_in(page, town)
        await page.keyboard.press("g")
        await page.keyboard.press("e")
        await expect(page.get_by_role("heading", name="Back into shadow")).to_be_visible()
        back = page.locator("form").filter(has_text="Show them")
        await back.get_by_label("Only clients that this finds").fill(SHOP.company)
        await back.get_by_role("button").click()
        await expect(page.get_by_text("it stays on")).to_be_visible()
        await page.get_by_role("button", name="Put these into shadow").click()
        await expect(page.locator(".result.good")).to_contain_text("1 of 1 clients")
        live = page.locator("form").filter(has_text="Show the next wave")
        await live.get_by_role("button").click()
        row = page.get_by_role("row").filter(has_text=SHOP.company)
        await expect(row).to_contain_text("it stays on")
        await expect(row.get_by_role("checkbox")).to_be_checked()
        await page.get_by_label("Reason").fill("the first wave")
        await page.get_by_role("button", name="Switch these to live").click()
        await expect(page.locator(".result.good")).to_contain_text("clients are live now")
        wave = page.locator("[data-from*='/part/wave']")
        await expect(wave.locator(".state.on")).to_be_visible(timeout=SOON_MS)
        assert (
            await town.one(
                "select mode from accounts.account where account_id = $1", SHOP.account_id
            )
            == "live"
        )


async def test_a_mail_is_looked_at_and_a_test_copy_is_sent(town: StackHarness) -> None:
    async with browser_page() as page:
        await log_in(page, town)
        await page.goto(f"{town.stack.console_url}/settings/mails")
        await page.get_by_role("link", name="Low Balance Alert").first.click()
        frame = page.frame_locator("iframe.mail")
        await expect(frame.get_by_text("Ada").first).to_be_visible()
        await page.get_by_label("To", exact=True).fill("olga@shop.web.example")
        await page.get_by_role("button", name="Send a test copy").click()
        await expect(page.locator(".result.good")).to_contain_text("is sent to olga@")
        subjects = [str(mail["Subject"]) for mail in town.stack.inbox.messages()]
        assert any(subject.startswith("[test]") for subject in subjects)


async def test_an_operator_is_invited_and_logs_in_by_the_link(town: StackHarness) -> None:
    async with browser_page() as page:
        await log_in(page, town)
        await page.goto(f"{town.stack.console_url}/settings/operators")
        await page.get_by_label("Name").fill("petra")
        await page.get_by_role("button", name="Invite").click()
        link = await page.locator(".secret").input_value()
        await page.reload()
        await expect(page.locator(".secret")).to_have_count(0)
        async with browser_page() as other:
            await other.goto(link)
            await expect(other.get_by_role("heading", name="Who runs out first")).to_be_visible()
            await other.goto(f"{town.stack.console_url}/settings/tokens")
            await expect(other.get_by_text("You are petra")).to_be_visible()


async def test_a_call_is_found_and_its_price_explained(town: StackHarness) -> None:
    async with browser_page() as page:
        await log_in(page, town)
        await page.keyboard.press("/")
        await page.keyboard.type("5195557001")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name=SHOP.company).click()
        await page.get_by_role("link", name="Calls", exact=True).click()
        await expect(page.locator(".tab th").first).to_have_text("began")
        await page.locator(".tab tbody").get_by_role("link").first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("charged")
        await expect(page.locator(".facts")).to_contain_text("1.80")


LINK = re.compile(r"http://[\w.:]+/my#[\w.-]+")


async def link_in_mail(town: StackHarness) -> str:
    """The link in the newest mail to the shop, which is sent by SMTP."""
    address = (await town.door.ask(f"/clients/{SHOP.account_id}"))["email"]

    def texts() -> list[str]:
        return [
            str(part.get_content())
            for message in town.stack.inbox.messages()
            if str(message["To"]) == address
            for part in message.walk()
            if part.get_content_type() == "text/plain"
        ]

    await until(lambda: any(LINK.search(text) for text in texts()), timeout_s=SOON_MS / 1000)
    return next(found[0] for text in reversed(texts()) if (found := LINK.search(text)))


async def test_a_client_opens_its_page_by_the_link_in_a_mail(town: StackHarness) -> None:
    """On a telephone: a mail arrives; its link shows balance, a call, statement and prices."""
    link = await link_in_mail(town)
    async with browser_page(390) as page:
        await page.goto(link)
        await expect(page.get_by_role("heading", level=1)).to_contain_text(SHOP.company)
        assert "#" not in page.url, "the secret does not stay in the address"
        await expect(page.locator(".strip")).to_contain_text("$18.40")
        await page.locator(".lines a").first.click()
        await expect(page.locator(".facts")).to_contain_text("1.8 per minute")
        await expect(page.locator(".facts")).not_to_contain_text("tariff")

        await page.get_by_role("link", name="Statement").click()
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="As a file (CSV)").click()
        file = (await (await downloading.value).path()).read_text(encoding="utf-8")
        assert [word for word in ("opening", "cheque 7", "closing") if word not in file] == []

        await page.get_by_role("link", name="Prices").click()
        await page.get_by_label("Number").fill("+881 6550 1000")
        await page.get_by_role("button", name="What does it cost?").click()
        await expect(page.get_by_text("1.8 CAD")).to_be_visible()

        await page.get_by_role("link", name="Mails").click()
        await page.get_by_role("textbox", name="My credit is low").fill("3.50")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".result.good")).to_be_visible()
        found = await town.door.ask(f"/clients/{SHOP.account_id}")
        assert found["threshold_micro"] == 3_500_000

        await page.goto(f"{town.stack.console_url}/clients")
        await expect(page.get_by_role("button", name="Log in", exact=True)).to_be_visible()


async def test_a_payment_is_seen_on_the_client_s_page_without_a_reload(
    town: StackHarness,
) -> None:
    link = await town.door.post(f"/clients/{SHOP.account_id}/links", {})
    async with browser_page(390) as page:
        await page.goto(link["url"])
        balance = page.locator(".strip dd.large")
        await expect(balance).to_have_text("$18.40")
        await expect(page.locator("#live")).to_have_text("Live.")
        await town.door.top_up(SHOP.account_id, "3.00", "seen-by-the-client")
        await expect(balance).to_have_text("$21.40")


async def test_an_event_is_seen_on_its_topic_as_it_is_written(town: StackHarness) -> None:
    """What is open stays open when newer events come, and every reader is named with its lag."""
    topic = "payment.received.v1"
    async with browser_page() as page:
        await log_in(page, town)
        await page.keyboard.press("g")
        await page.keyboard.press("t")
        row = page.get_by_role("row").filter(has_text=topic)
        await expect(row).to_contain_text("rating")
        await row.get_by_role("link", name=topic).click()
        events = page.locator(".events details")
        paid = events.filter(has_text="cheque 7")
        await expect(paid.locator("summary")).to_contain_text(SHOP.account_id)
        await paid.locator("summary").click()
        await expect(paid.locator("pre")).to_contain_text("cheque 7")
        opened = await paid.get_attribute("id")
        await expect(page.locator("#live")).to_have_text("Live.")

        await town.door.top_up(SHOP.account_id, "1.00", "seen-on-the-topic")
        await expect(events.first).to_contain_text("$1.00")
        await expect(page.locator(f"#{opened} pre")).to_be_visible()
        await expect(page.locator(".facts")).to_contain_text("accounts")
        await expect(page.locator(".state.low")).to_have_count(0)
        await page.get_by_text("The schema").click()
        await expect(page.get_by_text('"x-key": "account_id"')).to_be_visible()


async def test_a_link_that_is_revoked_leads_to_a_new_one_by_mail(town: StackHarness) -> None:
    old = (await town.door.post(f"/clients/{SHOP.account_id}/links", {}))["url"]
    await town.door.patch(f"/clients/{SHOP.account_id}", {"email": f"new@{SHOP.tenant}"})
    async with browser_page(390) as page:
        await page.goto(old)
        await expect(page.get_by_text("is valid no more")).to_be_visible()
        await page.get_by_label("Your mail address").fill(f"NEW@{SHOP.tenant}")
        await page.get_by_role("button", name="Mail me a link").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mail")
        await until(
            lambda: any(
                "The link to your balance" in str(message["Subject"])
                and str(message["To"]) == f"new@{SHOP.tenant}"
                for message in town.stack.inbox.messages()
            ),
            timeout_s=SOON_MS / 1000,
        )
        await page.goto(await link_in_mail(town))
        await expect(page.get_by_role("heading", level=1)).to_contain_text(SHOP.company)


async def test_an_operator_sees_as_the_client_sees(town: StackHarness) -> None:
    async with browser_page() as page:
        await log_in(page, town)
        await page.goto(f"{town.stack.console_url}/clients/{SHOP.account_id}")
        await page.get_by_role("button", name="See as client").click()
        await expect(page.get_by_text("to look alone")).to_be_visible()
        await page.get_by_role("link", name="Mails").click()
        await expect(page.get_by_role("button", name="Save")).to_be_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_the_client_s_page_can_be_used_by_everyone_at_both_widths(
    town: StackHarness, width: int, scheme: str
) -> None:
    (call,) = (await town.door.ask(f"/clients/{SHOP.account_id}/calls?limit=1"))["items"]
    pages = {
        "own": "/my",
        "own-calls": "/my/calls",
        "own-call": f"/my/calls/{call['call_id']}",
        "own-statement": "/my/statement",
        "own-prices": "/my/prices?number=881655010",
        "own-mails": "/my/mails",
        "own-ended": "/my?ended=1",
    }
    async with browser_page(width, "dark" if scheme == "dark" else "light") as page:
        link = await town.door.post(f"/clients/{SHOP.account_id}/links", {})
        await page.goto(link["url"])
        await expect(page.get_by_role("heading", level=1)).to_contain_text(SHOP.company)
        for name, path in pages.items():
            await page.goto(town.stack.console_url + path)
            assert await serious_faults(page) == [], name
            assert await overflow(page) <= 0, name
            await take_picture(page, f"{name}-{width}-{scheme}")


async def test_a_carriers_file_is_mapped_compared_put_in_force_and_charged(
    town: StackHarness,
) -> None:
    """The next call costs the new price."""
    async with browser_page() as page:
        await log_in(page, town)
        await page.keyboard.press("g")
        await page.keyboard.press("r")
        await page.get_by_role("link", name=TARIFF, exact=True).click()
        deck = "Destination,Code,Rate,Increment,Note\nSatellite,881,2.40,60,new\nCanada,1,0.01,6,\n"
        await drop_file(page, "lyria.csv", deck)
        await expect(page.locator(".result.bad").first).to_contain_text("Prefix")
        await page.get_by_label("What Note is used as").select_option("-")
        # A simulated call is over when it is posted, so it began before now.
        await page.get_by_label("In force from").fill("2026-01-02T00:00")
        await page.get_by_role("button", name="Compare").click()
        await expect(page.locator(".strip .bad")).to_contain_text("removed")
        await expect(page.get_by_role("row", name="dearer").first).to_be_visible()
        await page.get_by_role("button", name="Put in force from").click()
        await expect(page.locator(".result.good")).to_contain_text("are priced by version 2")

        await town.door.pbx("calls", [{**MINUTE, "billsec": 61}])
        await page.goto(f"{town.stack.console_url}/clients/{SHOP.account_id}")
        await expect(page.locator(".tab").get_by_text("$5.76").first).to_be_visible(timeout=SOON_MS)

        await page.goto(f"{town.stack.console_url}/rates/{TARIFF}")
        old = page.get_by_role("row").filter(has=page.get_by_role("link", name="1", exact=True))
        await old.get_by_role("link", name="A month by it").click()
        await page.get_by_label("Month").fill(this_month())
        await page.get_by_role("button", name="Compute").click()
        await expect(page.get_by_text("clients would pay less")).to_be_visible(timeout=SOON_MS)
        await expect(page.get_by_role("row").filter(has_text=SHOP.account_id)).to_contain_text("-")

        await page.goto(f"{town.stack.console_url}/rates/{TARIFF}")
        await page.get_by_role("link", name="Roll back to it").click()
        await page.get_by_role("button", name="Roll back now").click()
        await expect(page.locator(".result.good")).to_contain_text("are priced by version 3")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_page_can_be_used_by_everyone_at_both_widths(
    town: StackHarness, width: int, scheme: str
) -> None:
    """axe finds nothing serious, and no page is wider than its window."""
    pages = {
        "now": "/",
        "clients": "/clients",
        "client": f"/clients/{SHOP.account_id}",
        "unrated": "/unrated",
        "dead": "/dead",
        "rates": "/rates",
        "rate": f"/rates/{TARIFF}",
        "rate-changes": f"/rates/{TARIFF}/changes?old=1&new=2",
        "rollback": f"/rates/{TARIFF}/rollback?to=2",
        "deck": await looked_at_deck(town, "Place,Dial Code,Price,Increment\nCanada,1,0.02,6\n"),
        "deck-compared": await looked_at_deck(
            town, "Destination,Code,Rate,Increment\nCanada,1,0.02,6\nChile,56,0.1,1\n"
        ),
        "month": await priced_again(town),
        "servers": "/servers",
        "server": f"/servers/{PBX_ID}",
        "topics": "/topics",
        "topic": "/topics/payment.received.v1",
        "search": "/clients?search=nobody-is-called-so",
        "modes": "/settings/modes",
        "wave": "/settings/modes/preview?to=shadow",
        "mails": "/settings/mails",
        "mail": "/settings/mails/Low%20Balance%20Alert/en",
        "operators": "/settings/operators",
        "tokens": "/settings/tokens",
    }
    async with browser_page(width, "dark" if scheme == "dark" else "light") as page:
        await page.goto(f"{town.stack.console_url}/login")
        assert await serious_faults(page) == []
        await take_picture(page, f"login-{width}-{scheme}")
        await log_in(page, town)
        for name, path in pages.items():
            await page.goto(town.stack.console_url + path)
            assert await serious_faults(page) == [], name
            assert await overflow(page) <= 0, name
            await take_picture(page, f"{name}-{width}-{scheme}")
