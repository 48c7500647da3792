"""Renders a mail to a client from its facts, a template and the layout. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from notifier.form.layout import Frame, Layout, Link, page, plain_page
from notifier.merge_fields import ClientAccount, ClientFunds, MailContext, merge_values
from notifier.template import render as render_template
from notifier.words.catalogue import VOIP_RESTORED, YOUR_PAGE, Catalogue
from ringfence.mail.client_link import link_url, make_client_link
from ringfence.mail.unsubscribe import make_token


@dataclass(frozen=True)
class MailFacts:
    """What a mail to a client is about, at the time when it is sent.

    `template` is the template's name. `occurred_at` is the time of the crossing. `service_is_off`
    is false for a zero mail about a service that the PBX has not switched off yet: the text then
    does not say that it is off. `now` is when it is sent: the link to the client's own page is
    valid from then on.
    """

    template: str
    account: ClientAccount
    funds: ClientFunds
    occurred_at: datetime
    service_is_off: bool = True
    now: datetime | None = None


@dataclass(frozen=True)
class RenderedMail:
    """A rendered mail; the plain part has the same content as the HTML part.

    `headers` are added to those that the sender writes itself (From, To, Subject, Date,
    Message-ID): Reply-To, List-Unsubscribe and List-Unsubscribe-Post, where they apply.
    `cc` are addresses that get a copy. `secret` is the part of a text by which its reader is
    known: it is sent, and stored, published and logged nowhere.
    """

    subject: str
    text: str
    html: str
    from_name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cc: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)

    def without_secret(self, text: str) -> str:
        """A text as it may be stored or logged."""
        return text.replace(self.secret, _NOT_SHOWN) if self.secret else text


_NOT_SHOWN = "(not stored)"


def render(facts: MailFacts, catalogue: Catalogue, layout: Layout) -> RenderedMail:
    """Render the mail in the client's language. Never raises: it is called while sending."""
    account = facts.account
    language = catalogue.language(account.language)
    template = catalogue.template(
        facts.template, account.language, service_is_off=facts.service_is_off
    )
    unsubscribe_url, secret = _unsubscribe_url(layout, facts), _link_token(layout, facts)
    page_link = link_url(layout.client_page.page_url, secret) if layout.client_page else ""
    general = MailContext(
        language=account.language or language.code,
        company_name=layout.company,
        company_logo_url=layout.logo_url,
        signature=layout.signature,
        pay_link=layout.pay_link,
        unsubscribe_url=unsubscribe_url,
        client_page_link=page_link,
        off=language.words["off"],
        at=facts.occurred_at,
        service_is_off=facts.service_is_off,
    )
    words = render_template(template, merge_values(account, facts.funds, general))
    frame = _frame(facts, language.code, language.words, layout, unsubscribe_url, page_link)
    return RenderedMail(
        subject=words.subject,
        text=plain_page(layout, text=words.text, frame=frame),
        html=page(layout, subject=words.subject, markup=words.html, frame=frame),
        from_name=layout.from_name or layout.company,
        headers=_headers(layout, unsubscribe_url),
        cc=account.cc,
        secret=secret,
    )


def _frame(
    facts: MailFacts,
    code: str,
    words: Mapping[str, str],
    layout: Layout,
    unsubscribe_url: str,
    page_link: str,
) -> Frame:
    wants_money = facts.template not in (VOIP_RESTORED, YOUR_PAGE)
    pay = Link(words["add_funds"], layout.pay_link) if layout.pay_link and wants_money else None
    leave = Link(words["unsubscribe"], unsubscribe_url)
    return Frame(
        language=code,
        button=pay,
        own_page=Link(words["own_page"], page_link) if page_link else None,
        notes=(words["reason"], leave if unsubscribe_url else words["unsubscribe_by_reply"]),
    )


def _link_token(layout: Layout, facts: MailFacts) -> str:
    """The token of the link to the client's own page; empty without one."""
    if layout.client_page is None:
        return ""
    account = facts.account
    return make_client_link(
        account.account_id,
        (account.email, *account.cc),
        layout.client_page.key,
        facts.now or facts.occurred_at,
    )


def _unsubscribe_url(layout: Layout, facts: MailFacts) -> str:
    if layout.unsubscribe is None:
        return ""
    token = make_token(facts.account.account_id, layout.unsubscribe.key, facts.occurred_at)
    return f"{layout.unsubscribe.base_url.rstrip('/')}/unsubscribe/{token}"


def _headers(layout: Layout, unsubscribe_url: str) -> dict[str, str]:
    """The additional headers. One-click unsubscription is that of RFC 8058."""
    headers = {"Reply-To": layout.reply_to} if layout.reply_to else {}
    if unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers
