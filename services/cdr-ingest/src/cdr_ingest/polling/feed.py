"""A feed: the calls of one tenant, or of all tenants, of one server."""

from dataclasses import dataclass, field

from cdr_ingest.confirmation.confirms import BelievesAll, Confirms
from cdr_ingest.ingest import Ingester
from cdr_ingest.polling.cooldown import Cooldown
from cdr_ingest.polling.window import LookbackSettings
from cdr_ingest.sources.source import Source
from cdr_ingest.store import IngestStore
from ringfence.clock import Clock


@dataclass(frozen=True)
class PollInterval:
    """How often a feed is polled, in seconds.

    Between `poll_s` and `rest_s` while polls succeed; up to `backoff_max_s` after failures.
    """

    poll_s: float
    rest_s: float
    backoff_max_s: float


@dataclass(frozen=True)
class Feed:
    """What the poller and the reconciler of a feed share.

    `name` is the tenant, or `ALL_TENANTS`: the value that events, metrics and tables call `lane`.
    `source` lists calls by their start; `polled_source` is what the poller reads, which may list
    them by the time of their arrival. `confirmer` says which of their records are believed. One
    record may take `record_timeout_s` to arrive. `cooldown`
    is shared by all feeds of a server.
    """

    name: str
    source: Source
    polled_source: Source
    ingester: Ingester
    store: IngestStore
    clock: Clock
    lookback: LookbackSettings
    interval: PollInterval
    record_timeout_s: float
    batch_records: int
    cooldown: Cooldown
    confirmer: Confirms = field(default_factory=BelievesAll)

    @property
    def server_id(self) -> str:
        """The server's id in the servers file."""
        return self.source.server_id
