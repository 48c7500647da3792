"""Reads one client with current funds, to preview the client's mails."""

from notifier.merge_fields import ClientAccount, ClientFunds
from notifier.owed.store_clients import find_account
from ringfence.postgres.pool import Pool
from ringfence_contracts.errors import BadInput


async def find_client(pool: Pool, account_id: str) -> tuple[ClientAccount, ClientFunds]:
    """The client with the current credit and debts. Raises BadInput if there is no such client."""
    async with pool.acquire() as connection:
        account = await find_account(connection, account_id)
        if account is None:
            raise BadInput(
                "client", account_id, "a client that the notifier knows: see ringfence client list"
            )
        row = await connection.fetchrow(
            "select b.balance_micro, coalesce(b.currency, l.currency) as currency,"
            " l.outstanding_micro from report.level l"
            " full join report.balance b using (account_id) where account_id = $1",
            account_id,
        )
    balance, currency, debts = (row[0], row[1], row[2]) if row else (None, None, None)
    return account, ClientFunds(balance or 0, debts or 0, currency or "USD")
