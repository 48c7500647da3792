"""The mails in a real browser: none is wider than a phone's screen; and screenshots of them.

With RINGFENCE_TEST_PICTURES=docs/mails the pictures of docs/mails.md are written again.
"""

import html
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.alarm_mail import render_alarms
from notifier.form.layout import Layout, UnsubscribeLinks
from notifier.form.mail import MailFacts, render
from notifier.merge_fields import SAMPLE_ACCOUNT, SAMPLE_FUNDS
from notifier.operator.digest import ClientLine, ClientList, DigestFacts, Turnover, digest_mail
from notifier.template_files import load_catalogue
from tests.support.notifier import alarm

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
SEEDS = Path(__file__).parents[2] / "fixtures" / "mails"
NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
LAYOUT = Layout(
    company="Maple Voice",
    address="12 King Street, Waterloo ON",
    signature="Maple Voice\nSupport: 519 555 0100",
    pay_link="https://billing.example.net/pay",
    unsubscribe=UnsubscribeLinks("https://billing.example.net", b"a key for tests, long enough"),
)
DIGEST = DigestFacts(
    since=NOW - timedelta(days=1),
    until=NOW,
    off=ClientList(1, [ClientLine("ada", "Ada Moreau (Moreau & Daughters)", -40_000, "CAD")]),
    low=ClientList(2, [ClientLine("ben", "Ben Ito", 4_500_000, "CAD"),
                   ClientLine("cem", "Cem Kaya", 9_990_000, "CAD")]),
    unrated=3,
    unrated_s=540,
    unrated_since=NOW - timedelta(hours=3),
    mails={"sent": 7, "failed": 1},
    failures=["Low Balance Alert to Ben Ito (ben): failed: 550 no such user"],
    turnover=[Turnover("CAD", 350_000_000, 128_340_000, 1_204)],
    alarm_count=1,
    alarms=["exposure ben: Unrated talk time of Ben Ito is worth more than his credit"],
)  # fmt: skip
LONG = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaft" * 3


def mails() -> dict[str, str]:
    """The HTML of each mail, by the name of its picture."""
    packaged, seeds = load_catalogue(None), load_catalogue(SEEDS)
    zero = replace(SAMPLE_FUNDS, balance_micro=-40_000)
    paid = replace(SAMPLE_FUNDS, balance_micro=50_000_000, outstanding_micro=0)
    french = replace(SAMPLE_ACCOUNT, language="fr")
    long = replace(SAMPLE_ACCOUNT, first_name=LONG, company_name=LONG)
    facts = {
        "low-balance-alert": (packaged, SAMPLE_ACCOUNT, SAMPLE_FUNDS, "Low Balance Alert"),
        "low-balance-alert-fr": (packaged, french, SAMPLE_FUNDS, "Low Balance Alert"),
        "low-balance-alert-seed": (seeds, SAMPLE_ACCOUNT, SAMPLE_FUNDS, "Low Balance Alert"),
        "voip-zero-balance": (packaged, SAMPLE_ACCOUNT, zero, "VoIP Zero Balance"),
        "voip-zero-balance-seed": (seeds, SAMPLE_ACCOUNT, zero, "VoIP Zero Balance"),
        "voip-restored": (packaged, SAMPLE_ACCOUNT, paid, "VoIP Restored"),
        "long-name": (packaged, long, zero, "VoIP Zero Balance"),
    }
    pages = {
        name: render(MailFacts(template, account, funds, NOW), catalogue, LAYOUT).html
        for name, (catalogue, account, funds, template) in facts.items()
    }
    names = {"1042": "Ada Moreau"}
    operator = {
        "daily-digest": digest_mail(DIGEST, LAYOUT, zone="America/Toronto", language="en"),
        "alarm": render_alarms(
            [alarm(), alarm("1042/s-2")], 2, "raised",
            names=names, layout=LAYOUT, zone="America/Toronto",
        ),
    }  # fmt: skip
    return pages | {name: words.html for name, words in operator.items()}


def chromium(*arguments: str) -> str:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)
    return run.stdout


def measured(page: str, width: int, folder: Path) -> tuple[int, int]:
    """Width and height of a page in a window of that width."""
    wrapper = folder / "wrapper.html"
    script = (
        "const f = document.querySelector('iframe'), d = f.contentDocument.documentElement;"
        "document.body.dataset.size = d.scrollWidth + 'x' + d.scrollHeight;"
    )
    wrapper.write_text(
        f'<body><iframe width="{width}" height="100" style="border:0" scrolling="no"'
        f' srcdoc="{html.escape(page)}" onload="{html.escape(script)}"></iframe></body>'
    )
    found = re.search(
        r'data-size="(\d+)x(\d+)"', chromium("--dump-dom", wrapper.resolve().as_uri())
    )
    assert found is not None, "the page was not measured"
    return int(found[1]), int(found[2])


@pytest.mark.parametrize("width", [390, 800])
def test_no_mail_is_wider_than_the_screen(width: int, tmp_path: Path) -> None:
    pictures = os.environ.get("RINGFENCE_TEST_PICTURES")
    for name, page in mails().items():
        wide, high = measured(page, width, tmp_path)
        assert wide <= width, name
        assert high > 300, name
        if pictures and name != "long-name":
            file = tmp_path / f"{name}.html"
            file.write_text(page)
            chromium(
                f"--window-size={width},{high}",
                f"--screenshot={Path(pictures).resolve() / f'{name}-{width}.png'}",
                file.resolve().as_uri(),
            )
