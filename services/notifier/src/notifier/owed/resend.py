"""The operator's requests to the notifier.

`mail.resend` sends a mail again that is in doubt or has failed, `mail.test` sends a test copy,
`mail.link` mails a client the link to its own page.
"""

from uuid import UUID

from notifier.owed import store as owed_store
from notifier.owed.copies import TEST, MailCopies
from notifier.owed.decision import DecisionRules, Drop, Send, Wait, decide_mail
from notifier.owed.notice import link_mail
from notifier.owed.store_commands import is_answered, save_answer
from notifier.store import MailStore
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.records import Received, parse

RESEND = "mail.resend"
LINK = "mail.link"
_STATES = ("in-doubt", "failed")


class Resender:
    """Executes operator requests to the notifier, each id once."""

    def __init__(
        self,
        store: MailStore,
        *,
        rules: DecisionRules,
        clock: Clock,
        tests: MailCopies | None = None,
        has_pages: bool = False,
    ) -> None:
        """`tests` None: test copies are refused. `has_pages`: clients have their own pages."""
        self._tests = tests
        self._has_pages = has_pages
        self._store = store
        self._rules = rules
        self._clock = clock

    async def process(self, received: Received) -> None:
        """Execute a request and save its answer; requests to other services are ignored."""
        request = parse(OperatorRequested, received)
        if request.service != "notifier":
            return
        if request.command == TEST and self._tests is not None:
            await self._send_test(request, self._tests)
            return
        async with self._store.transaction() as connection:
            if await is_answered(connection, request.request_id):
                return
            state, answer = await self._execute(connection, request)
            await save_answer(connection, request, state, answer)

    async def _send_test(self, request: OperatorRequested, tests: MailCopies) -> None:
        """Send it outside of a transaction: the server may be slow."""
        async with self._store.transaction() as connection:
            if await is_answered(connection, request.request_id):
                return
        state, answer = await tests.answer(request)
        async with self._store.transaction() as connection:
            if not await is_answered(connection, request.request_id):
                await save_answer(connection, request, state, answer)

    async def _execute(self, connection: Connection, request: OperatorRequested) -> tuple[str, str]:
        if request.command == LINK:
            return await self._link(connection, request)
        if request.command != RESEND:
            return "refused", f"command: got {request.command!r}, expected {RESEND} or {TEST}"
        try:
            message_id = UUID(request.arguments.get("notice_id", ""))
        except ValueError:
            got = request.arguments.get("notice_id")
            return "refused", f"notice_id: got {got!r}, expected an id that `ringfence mails` shows"
        owed = await owed_store.find(connection, message_id)
        if owed is None:
            return "refused", f"notice_id: there is no mail {message_id}"
        if owed.state not in _STATES:
            shown = "waiting" if owed.state == "sending" else owed.state
            return "refused", f"the mail is {shown}: only one in doubt or failed is sent again"
        now = self._clock.now()
        facts = await owed_store.gather(connection, owed.notice, owed.created_at)
        outcome = decide_mail(owed.notice, facts, now, self._rules)
        if isinstance(outcome, Drop):
            return "refused", f"it is not owed any more: {outcome.reason}"
        await owed_store.resend(connection, message_id, now)
        if isinstance(outcome, Wait):
            await owed_store.apply(connection, owed, outcome, now)
            return "done", f"it is sent again when it can be: {outcome.reason}"
        assert isinstance(outcome, Send)
        return "done", "it is sent again, next"

    async def _link(self, connection: Connection, request: OperatorRequested) -> tuple[str, str]:
        account_id, currency = (request.arguments.get(n, "") for n in ("account_id", "currency"))
        if not account_id or not currency:
            return "refused", "expected an account_id and its currency"
        if not self._has_pages:
            return "refused", "there are no pages of clients: RINGFENCE_CLIENT_PAGE_URL is not set"
        notice = link_mail(request, account_id, currency)
        await owed_store.add(connection, notice, self._clock.now())
        return "done", "it is sent next"
