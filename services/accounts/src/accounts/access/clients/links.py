"""How clients get links to their own page, and open it by one."""

import asyncio
from datetime import datetime, timedelta

import structlog

from accounts.access.clients.store import ClientAccess, OpenedPage
from accounts.access.failed_logins import FailedLogins
from accounts.access.login_counter import FAILURES
from accounts.refusals import Clash, LoginRefused, LoginsLimited
from ringfence.clock import Clock
from ringfence.mail.address import is_mail_address
from ringfence.mail.client_link import BadLink, link_url, read_client_link

ANSWER_S = 0.5
"""Every request for a mail is answered after this time: how long it took says nothing."""

_EXPECTED = "a link to the client's page that is at most 7 days old and was not revoked"
log = structlog.get_logger()


class ClientLinks:
    """Makes and reads links. `key` None: there are none; `page_url` is where they lead."""

    def __init__(
        self, access: ClientAccess, clock: Clock, key: bytes | None, page_url: str
    ) -> None:
        self._access = access
        self._clock = clock
        self._key = key
        self._page_url = page_url
        # Budgets of their own: they keep out no operator, and raise no alarm.
        self._refused = FailedLogins()
        self._requests = FailedLogins()

    async def make(
        self, account_id: str, valid_for: timedelta, may_change: bool, who: str
    ) -> tuple[str, str, datetime]:
        """A link's token, the whole link and its end. Raises Unknown, and Clash without a key."""
        if self._key is None or not self._page_url:
            expected = (
                "the installation has no pages of clients: set RINGFENCE_CLIENT_PAGE_URL, and"
                " RINGFENCE_CLIENT_LINK_KEY_FILE for accounts and notifier"
            )
            raise Clash("client link", account_id, expected)
        token, ends_at = await self._access.make_link(
            account_id, self._key, valid_for, may_change, who
        )
        return token, link_url(self._page_url, token), ends_at

    async def open(self, token: str, address: str) -> OpenedPage:
        """Open a session by a link's token; `address` is the browser's. Raises LoginRefused."""
        if self._key is None:
            raise self._refusal(address, "there are no links here")
        try:
            link = read_client_link(token, self._key, self._clock.now())
        except BadLink as error:
            raise self._refusal(address, str(error)) from None
        opened = await self._access.open(link, self._key)
        if opened is None:
            raise self._refusal(address, "the link was revoked")
        log.info("a client opened its page", account_id=opened.account_id)
        return opened

    async def request_mail(self, mail_address: str, address: str) -> None:
        """Have a link mailed to the clients with an address; the same for a known and another one.

        `address` is the browser's. Raises LoginsLimited after many requests from it.
        """
        loop = asyncio.get_running_loop()
        due_at = loop.time() + ANSWER_S
        if wait_s := self._requests.wait_s(address, loop.time()):
            raise LoginsLimited(wait_s, "too many links were asked for from this address")
        self._requests.failed(address, loop.time())
        if self._key is not None and is_mail_address(mail_address):
            count = await self._access.request_mails(mail_address)
            log.info("links to clients' pages were asked for", mails=count)
        await asyncio.sleep(max(0.0, due_at - loop.time()))

    def _refusal(self, address: str, reason: str) -> LoginRefused:
        """The refusal of a link, which never shows it; who guesses cannot fill the log."""
        FAILURES.labels("client-link").inc()
        if self._refused.failed(address, asyncio.get_running_loop().time()):
            log.warning("a link to a client's page was refused", address=address, reason=reason)
        return LoginRefused("link", _EXPECTED)
