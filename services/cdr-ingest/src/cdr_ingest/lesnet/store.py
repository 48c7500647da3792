"""The table of CDR files of Les.net: which version of each was processed last."""

from dataclasses import dataclass
from datetime import datetime

from cdr_ingest.lesnet.validators import Validators
from ringfence.postgres.pool import Pool


@dataclass(frozen=True)
class FileState:
    """The version of a file that was processed last, and the fingerprint of its profile.

    `refusal` is the reason why the file was refused; empty if it was ingested. `newest_at` is the
    start of the newest call ingested from the link so far.
    """

    validators: Validators
    sha256: str
    profile: str
    refusal: str = ""
    newest_at: datetime | None = None


class LesnetFileStore:
    """One state for each link."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def state(self, server_id: str, link: str) -> FileState | None:
        """The file's state; None if no version of it was processed yet."""
        row = await self._pool.fetchrow(
            "select etag, last_modified, sha256, profile, refusal, newest_at"
            " from cdr_ingest.lesnet_file where server_id = $1 and link = $2",
            server_id,
            link,
        )
        if row is None:
            return None
        etag, last_modified, *rest = row
        return FileState(Validators(etag, last_modified), *rest)

    async def save_state(self, server_id: str, link: str, state: FileState) -> None:
        """Save that this version was processed. `newest_at` never decreases."""
        await self._pool.execute(
            "insert into cdr_ingest.lesnet_file as f"
            " (server_id, link, etag, last_modified, sha256, profile, refusal, newest_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (server_id, link) do update set"
            " etag = excluded.etag, last_modified = excluded.last_modified,"
            " sha256 = excluded.sha256, profile = excluded.profile, refusal = excluded.refusal,"
            " newest_at = greatest(f.newest_at, excluded.newest_at), updated_at = now()",
            server_id,
            link,
            state.validators.etag,
            state.validators.last_modified,
            state.sha256,
            state.profile,
            state.refusal,
            state.newest_at,
        )
