"""What a route may use: the stores, the clock, and the name of the caller."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Query, Request

from accounts.access.clients.links import ClientLinks
from accounts.access.clients.store import ClientAccess
from accounts.access.directory import TokenDirectory
from accounts.access.failed_logins import FailedLogins
from accounts.access.operators.passwords import Passwords
from accounts.access.operators.store import OperatorStore
from accounts.access.scopes import Caller, ClientUse
from accounts.access.sessions.logins import Logins
from accounts.access.sessions.store import SessionStore
from accounts.access.store import TokenStore
from accounts.clients.overview.store import Overview
from accounts.clients.overview.store_elements import ElementStore
from accounts.clients.overview.store_history import History
from accounts.clients.versions import read_if_match
from accounts.dead.store import DeadRecordStore
from accounts.explanations.store import ExplanationStore
from accounts.installation.servers import KnownServer, ServerDirectory
from accounts.installation.store_adoptions import AdoptionStore
from accounts.installation.store_inventory import InventoryStore
from accounts.installation.store_servers import ServerStore
from accounts.jobs.store import Jobs
from accounts.notices.store import NoticeStore
from accounts.operations.store import Operations
from accounts.paging import MAX_LIMIT
from accounts.payments.store import PaymentStore
from accounts.payments.store_claims import ClaimStore
from accounts.products.store import ProductStore
from accounts.reaction.store import ReactionStore
from accounts.reports.store import Reports
from accounts.situation.store import SituationStore
from accounts.store import AccountStore
from accounts.tariffs.store import TariffStore
from accounts.tariffs.uploads.store import UploadStore
from ringfence.clock import Clock
from ringfence.postgres.pool import Pool
from ringfence_contracts.events.account import OperatingMode
from ringfence_contracts.events.model import Id


@dataclass(frozen=True)
class Dependencies:
    """The dependencies of all routes. `servers` None: products may name any server."""

    clock: Clock
    store: AccountStore
    products: ProductStore
    payments: PaymentStore
    claims: ClaimStore
    tariffs: TariffStore
    uploads: UploadStore
    reports: Reports
    situation: SituationStore
    reaction: ReactionStore
    explanations: ExplanationStore
    overview: Overview
    history: History
    operations: Operations
    jobs: Jobs
    server_states: ServerStore
    inventory: InventoryStore
    adoptions: AdoptionStore
    elements: ElementStore
    notices: NoticeStore
    dead: DeadRecordStore
    tokens: TokenStore
    operators: OperatorStore
    sessions: SessionStore
    passwords: Passwords
    logins: Logins
    directory: TokenDirectory
    client_access: ClientAccess
    links: ClientLinks
    servers: ServerDirectory | None
    default_mode: OperatingMode

    @classmethod
    def from_pool(
        cls,
        pool: Pool,
        clock: Clock,
        servers: ServerDirectory | None,
        default_mode: OperatingMode,
        directory: TokenDirectory,
        failures: FailedLogins,
        links: ClientLinks,
        client_access: ClientAccess,
    ) -> "Dependencies":
        """The stores, all on one pool."""
        tokens, sessions, passwords = (
            TokenStore(pool, clock),
            SessionStore(pool, clock),
            Passwords(),
        )
        return cls(
            clock=clock,
            store=AccountStore(pool, clock),
            products=ProductStore(pool, clock),
            payments=PaymentStore(pool),
            claims=ClaimStore(pool),
            tariffs=TariffStore(pool, clock),
            uploads=UploadStore(pool, clock),
            reports=Reports(pool),
            situation=SituationStore(pool, clock),
            reaction=ReactionStore(pool, clock),
            explanations=ExplanationStore(pool),
            overview=Overview(pool),
            history=History(pool),
            operations=Operations(pool, clock),
            jobs=Jobs(pool, clock),
            server_states=ServerStore(pool, clock),
            inventory=InventoryStore(pool),
            adoptions=AdoptionStore(pool),
            elements=ElementStore(pool),
            notices=NoticeStore(pool),
            dead=DeadRecordStore(pool, clock),
            tokens=tokens,
            operators=OperatorStore(pool, clock, tokens),
            sessions=sessions,
            passwords=passwords,
            logins=Logins(sessions, passwords, failures),
            directory=directory,
            client_access=client_access,
            links=links,
            servers=servers,
            default_mode=default_mode,
        )

    def listed_servers(self) -> dict[str, KnownServer]:
        """The servers of the servers file by id; none without a file."""
        servers = () if self.servers is None else self.servers.read().servers
        return {server.server_id: server for server in servers}

    def known_servers(self) -> frozenset[str] | None:
        """The ids of the servers that exist; None without a servers file."""
        return None if self.servers is None else frozenset(self.listed_servers())


def _dependencies(request: Request) -> Dependencies:
    deps: Dependencies = request.app.state.dependencies
    return deps


def _who(request: Request) -> str:
    who: str = request.state.who
    return who


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _client(request: Request) -> ClientUse:
    caller: Caller = request.state.caller
    assert caller.client is not None, "the route declares OWN"
    return caller.client


def _versions(
    if_match: Annotated[
        str | None, Header(description="the version that the change is made for")
    ] = None,
) -> frozenset[int] | None:
    return read_if_match(if_match)


Deps = Annotated[Dependencies, Depends(_dependencies)]
Who = Annotated[str, Depends(_who)]
TheCaller = Annotated[Caller, Depends(_caller)]
TheClient = Annotated[ClientUse, Depends(_client)]
IfMatch = Annotated[frozenset[int] | None, Depends(_versions)]
AccountId = Id
PageCursor = Annotated[str | None, Query(max_length=500, description="`next` of the previous page")]
PageLimit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
