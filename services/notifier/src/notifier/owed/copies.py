"""`mail.test`: the operator's request for a test copy of a mail, to an address that he names."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from notifier.form.mail import MailFacts, RenderedMail
from notifier.form.store_preview import find_client
from notifier.merge_fields import SAMPLE_ACCOUNT, SAMPLE_FUNDS
from notifier.sending.mime import Mail
from notifier.words.catalogue import TEMPLATE_NAMES
from ringfence.clock import Clock
from ringfence.mail.address import check_mail_address
from ringfence.postgres.pool import Pool
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.ids import derive

TEST = "mail.test"
LONGEST_S = 20.0
"""For a test copy the server gets less time than for a mail: a person waits for the answer."""

SendNow = Callable[[Mail], Awaitable[str]]
"""Sends one mail at once, and returns the server's reply. Raises BadInput with the reason."""


class MailCopies:
    """Sends test copies. Nothing is recorded but the answer, and nothing is retried."""

    def __init__(
        self,
        pool: Pool,
        *,
        render: Callable[[MailFacts], RenderedMail],
        send: SendNow,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._render = render
        self._send = send
        self._clock = clock

    async def answer(self, request: OperatorRequested) -> tuple[str, str]:
        """Send the mail of a request; its state (done, refused) and the answer in words.

        A kill between the sending and the answer sends it twice: it is a test.
        """
        try:
            return "done", await self._sent(request)
        except BadInput as error:
            return "refused", str(error)
        except TimeoutError:
            return "refused", f"the mail server did not answer within {LONGEST_S:.0f} s"

    async def _sent(self, request: OperatorRequested) -> str:
        given, now = request.arguments, self._clock.now()
        to = check_mail_address(given.get("to", ""), "to")
        name = given.get("template", "")
        if name not in TEMPLATE_NAMES:
            raise BadInput("template", name, f"one of: {', '.join(TEMPLATE_NAMES)}")
        account, funds = SAMPLE_ACCOUNT, SAMPLE_FUNDS
        if given.get("client"):
            account, funds = await find_client(self._pool, given["client"])
        account = replace(account, language=given.get("language") or account.language)
        rendered = self._render(MailFacts(name, account, funds, now))
        content = replace(rendered, subject=f"[test] {rendered.subject}", cc=())
        message_id = derive("test mail", str(request.request_id))
        async with asyncio.timeout(LONGEST_S):
            reply = await self._send(Mail(message_id, to, content, now))
        return f"a test copy of “{name}” is sent to {to}: {reply}"
