"""The operator's requests to the notifier.

`mail.resend` sends a mail again that is in doubt or has failed, `mail.test` sends a test copy.
"""

from uuid import UUID

from notifier.owed import store as owed_store
from notifier.owed.copies import TEST, MailCopies
from notifier.owed.decision import DecisionRules, Drop, Send, Wait, decide_mail
from notifier.owed.store_commands import is_answered, save_answer
from notifier.store import MailStore
from ringfence.clock import Clock
from ringfence.postgres.pool import Connection
from ringfence_contracts.events.operator import OperatorRequested
from ringfence_contracts.records import Received, parse

RESEND = "mail.resend"
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
    ) -> None:
        """`tests` None: test copies are refused."""
        self._tests = tests
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
            state, answer = await self._resend(connection, request)
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

    async def _resend(self, connection: Connection, request: OperatorRequested) -> tuple[str, str]:
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
