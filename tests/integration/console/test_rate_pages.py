"""The pages of rates, on a real API and database."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest

from console.pages import decks
from tests.support.accounts import CARD, TOKEN, RunningApi, running_api
from tests.support.console import PROOF, RunningConsole, running_console
from tests.support.workbooks import rows_xml, workbook

CARRIER = (
    "Rates of Lyria;;;\n"
    "Destination;Code;New Rate;Surcharge Note\n"
    "Canada;1;0,02;none\n"
    "Toronto;1416;0,004;none\n"
    "Kosovo;383;0,5;none\n"
)
FIELD = re.compile(r'<(?:input|select)[^>]* name="([^"]+)"(?:[^>]* value="([^"]*)")?')
OPTION = re.compile(r'<option value="([^"]*)" selected>|<option selected>([^<]*)<')


@dataclass
class Rates:
    """An operator's browser at the pages of rates."""

    console: RunningConsole
    api: RunningApi

    async def drop(self, content: bytes | str, name: str = "rates.csv", **fields: str) -> str:
        """Send a file by the form of the page; the address that follows."""
        page = await self.console.page("/rates")
        proof = PROOF.search(page)
        assert proof is not None
        answer = await self.console.http.post(
            "/rates/upload", data={"proof": proof[1], **fields}, files={"file": (name, content)}
        )
        assert answer.status_code == 303, answer.text[:500]
        return str(answer.headers["location"])

    async def compared(self, where: str, **chosen: str) -> tuple[str, str]:
        """Fill in the form of a file's page, and send it; the address and the page that follow."""
        here = where.partition("?")[0]
        asked: list[tuple[str, str | int | float | bool | None]] = []
        form = (await self.console.page(where)).split("How the file is read")[1]
        for tag in re.findall(r"<input[^>]*>|<select.*?</select>", form, re.S):
            if found := FIELD.match(tag):
                option = OPTION.search(tag)
                value = (option[1] or option[2] or "") if option else found[2] or ""
                if found[1] != "proof":
                    asked.append((found[1], chosen.get(found[1], unescape(value))))
        address = str(self.console.http.build_request("GET", here, params=asked).url)
        address = address.removeprefix(self.console.url)
        return address, await self.console.page(address)

    async def put_in_force(self, address: str) -> str:
        """Press the button of a page that compares; the page that follows."""
        page = await self.console.page(address)
        sha = re.search(r'name="sha256" value="(\w+)"', page)
        base = re.search(r'name="base" value="(\w+)"', page)
        assert sha is not None, page
        assert base is not None, page
        here, _, query = address.partition("?")
        path = f"{here}/version" + (f"?{query}" if query else "")
        return await self.console.submit(address, path, sha256=sha[1], base=base[1])

    async def versions(self, tariff: str = "retail") -> list[dict[str, Any]]:
        found = (await self.api.http.get(f"/v1/tariffs/{tariff}/versions")).json()
        return list(found["items"])


@pytest.fixture
async def rates(database: str) -> AsyncIterator[Rates]:
    async with running_api(database) as api, running_console(api.url) as console:
        assert (await console.login(TOKEN)).status_code == 303
        yield Rates(console, api)


async def test_a_first_tariff_is_made_of_a_file_with_its_own_columns(rates: Rates) -> None:
    assert "No tariffs yet" in await rates.console.page("/rates")
    where = await rates.drop(CARD, tariff="retail", currency="CAD")
    page = await rates.console.page(where)
    assert "there is no version before it" in page
    assert "0.0125" not in page
    assert "<td>1416</td>" in page
    assert await rates.api.database.fetchval("select count(*) from accounts.tariff_version") == 0
    text = await rates.put_in_force(where)
    assert "are priced by version 1, with 3 prefixes." in text
    listed = await rates.console.page("/rates")
    assert "version 1" in listed
    assert "CAD" in listed


async def test_a_carriers_columns_are_proposed_corrected_and_remembered(rates: Rates) -> None:
    await rates.api.import_card()
    where = await rates.drop(CARRIER, "Lyria <1>.csv", tariff="retail")
    page = await rates.console.page(where)
    assert "<h1>Lyria &lt;1&gt;.csv" in page
    assert "No column is used as: Description, Prefix, RateValue, Increment" in page
    assert page.count("a proposal") == 3
    assert "Canada · Toronto · Kosovo" in page
    assert "Put in force" not in page
    address, page = await rates.compared(where, increment="60/1", decimal="comma")
    assert "Nothing would be computed from: Surcharge Note" in page
    address, page = await rates.compared(address, use4="-")
    counts = dict(re.findall(r"<dt>([\w ]+)</dt><dd>(\d+)</dd>", page))
    assert counts["new"] == counts["removed"] == counts["dearer"] == counts["cheaper"] == "1"
    assert "0.01 → <strong>0.02</strong>" in " ".join(page.split())
    assert "Lines above the table, not read: 1." in page
    text = await rates.put_in_force(address)
    assert "are priced by version 2" in text
    assert "Destination = Description" in text
    await rates.drop(CARRIER.replace("0,5", "0,6"), tariff="retail")
    again = await rates.console.page(
        await rates.drop(CARRIER.replace("0,5", "0,6"), tariff="retail")
    )
    assert "0.5 → <strong>0.6</strong>" in " ".join(again.split()), "nothing is asked again"
    text = await rates.console.submit("/rates/retail", "/rates/retail/forget")
    assert "Destination = Description" not in text


async def test_bad_lines_are_listed_with_their_reasons(rates: Rates) -> None:
    await rates.api.import_card()
    where = await rates.drop(CARD.replace(".008", "free").replace("60", "x"), tariff="retail")
    page = await rates.console.page(where)
    assert "Lines that cannot be read: 2." in page
    assert '<td class="number">3</td><td>RateValue</td><td>free</td>' in page
    assert "Put in force" not in page
    assert len(await rates.versions()) == 1


async def test_a_setting_is_named_as_the_page_names_it(rates: Rates) -> None:
    await rates.api.import_card()
    seconds = "Description,Prefix,Rate per second,Increment\nCanada,1,0.001,60\n"
    where = await rates.drop(seconds, tariff="retail")
    _, page = await rates.compared(where)
    assert "“rates are per” second or minute" in page
    assert "--rate-per" not in page
    _, page = await rates.compared(where, rate_per="second")
    assert '<td class="number">0.06</td>' in page
    _, page = await rates.compared(where, rate_per="second", price_unit="hundredth")
    assert '<td class="number">0.0006</td>' in page


async def test_a_workbook_is_read_and_a_file_without_names_is_mapped_by_position(
    rates: Rates,
) -> None:
    rows = (("Canada", 1, 0.02, 6), ("Toronto", 1416, 0.005, 6))
    content = workbook({"Rates": rows_xml(rows)})
    where = await rates.drop(content, "deck.xlsx", tariff="whole", currency="CAD")
    page = await rates.console.page(where)
    assert 'value="none" selected' in page
    assert page.count("a proposal") >= 3
    address, page = await rates.compared(where, use4="Increment", currency="CAD")
    assert "there is no version before it" in page, page
    assert "version 1, with 2 prefixes" in await rates.put_in_force(address)


async def test_a_version_is_put_in_force_at_a_time_of_the_operators_zone(rates: Rates) -> None:
    await rates.api.import_card()
    where = await rates.drop(CARD.replace("0.0100", "0.03"), tariff="retail")
    address, page = await rates.compared(where, effective_from="2099-12-01T06:00")
    assert "Put in force from 2099-12-01 06:00 on" in page
    await rates.put_in_force(address)
    assert (await rates.versions())[0]["effective_from"] == "2099-12-01T11:00:00Z"
    assert "to come" in await rates.console.page("/rates/retail")
    page = await rates.console.page("/rates")
    assert "version 1" in page
    assert "from 2099-12-01" in page
    _, page = await rates.compared(where, effective_from="soon")
    assert "expected a time such as" in page


async def test_what_is_not_what_was_compared_is_refused(rates: Rates) -> None:
    await rates.api.import_card()
    where = await rates.drop(CARD.replace("0.0100", "0.03"), tariff="retail")
    page = await rates.console.page(where)
    sha = re.search(r'name="sha256" value="(\w+)"', page)
    assert sha is not None
    await rates.api.import_card(CARD.replace("0.0100", "0.04"))
    text = await rates.console.submit(where, f"{where}/version", sha256=sha[1], base="1")
    assert "look at the differences again" in text
    assert len(await rates.versions()) == 2


async def test_prices_are_found_by_number_and_by_prefix_and_are_paged(rates: Rates) -> None:
    rows = "".join(f"Canada {n},1{n},0.01,6\n" for n in range(400, 480))
    await rates.api.import_card(f"Description,Prefix,RateValue,Increment\n{rows}")
    page = await rates.console.page("/rates/retail")
    assert "<td>1449</td>" in page
    assert "<td>1450</td>" not in page
    more = re.search(r'<a href="([^"]+)">Further prefixes', page)
    assert more is not None
    assert "<td>1450</td>" in await rates.console.page(unescape(more[1]))
    page = await rates.console.page("/rates/retail?number=%2B1%20(416)%20555-0100")
    assert "14165550100 is priced by 1416 (Canada 416)" in page
    page = await rates.console.page("/rates/retail?number=147")
    assert page.count("<td>147") == 10
    assert "No prefix matches 49" in await rates.console.page("/rates/retail?number=49")
    assert "Type digits" in await rates.console.page("/rates/retail?number=Toronto")


async def test_versions_are_compared_rolled_back_and_exported(rates: Rates) -> None:
    await rates.api.import_card()
    await rates.api.import_card(CARD.replace("0.0100", "0.02").replace("35544416", "383"))
    page = await rates.console.page("/rates/retail/changes?old=1&new=2&kind=dearer")
    assert "<strong>0.02</strong>" in page
    assert "383" not in page
    asked = "/rates/retail/rollback?to=1"
    assert "Roll back now" in await rates.console.page(asked)
    assert len(await rates.versions()) == 2
    text = await rates.console.submit(asked, "/rates/retail/rollback", to="1", base="1")
    assert "version 2 is in force then by now" in text
    text = await rates.console.submit(asked, "/rates/retail/rollback", to="1", base="2")
    assert "are priced by version 3" in text
    assert "prices of 1" in text
    file = await rates.console.http.get("/rates/retail/export.csv?version=2")
    assert file.headers["content-disposition"] == 'attachment; filename="retail-2.csv"'
    assert "Kosovo" not in file.text
    assert ",383,0.54401," in file.text
    assert (await rates.console.http.get("/rates/none/export.csv")).status_code == 404


async def test_a_file_that_is_too_large_or_none_is_refused_in_words(
    rates: Rates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decks, "MAX_FILE", 100_000)
    proof = PROOF.search(await rates.console.page("/rates"))
    assert proof is not None
    answer = await rates.console.http.post(
        "/rates/upload",
        data={"proof": proof[1], "tariff": "retail"},
        files={"file": ("big.csv", b"x" * 300_000)},
    )
    assert answer.status_code == 413
    assert "nothing of it was taken" in answer.text
    answer = await rates.console.http.post(
        "/rates/upload", data={"proof": proof[1], "tariff": "retail", "currency": "CAD"}
    )
    assert "Choose a file of prices first." in await rates.console.page(answer.headers["location"])
    where = await rates.drop(b"", tariff="retail", currency="CAD")
    assert "an empty file" in await rates.console.page(where)


async def test_a_file_needs_a_session_and_a_proof(rates: Rates) -> None:
    answer = await rates.console.http.post(
        "/rates/upload", data={"proof": "x", "tariff": "a"}, files={"file": ("a.csv", CARD)}
    )
    assert answer.status_code == 403
    rates.console.http.cookies.clear()
    answer = await rates.console.http.post(
        "/rates/upload", data={"proof": "x", "tariff": "a"}, files={"file": ("a.csv", CARD)}
    )
    assert answer.headers["location"] == "/login"
    assert await rates.api.database.fetchval("select count(*) from accounts.uploaded_deck") == 0


async def test_a_file_is_deleted_and_an_unknown_one_is_named(rates: Rates) -> None:
    where = await rates.drop(CARD, tariff="retail", currency="CAD")
    here = where.partition("?")[0]
    assert "The file is deleted." in await rates.console.submit(where, f"{here}/delete")
    answer = await rates.console.http.get(where)
    assert answer.status_code == 404
    assert "upload it again" in answer.text
