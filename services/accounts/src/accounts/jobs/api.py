"""/v1/jobs, /v1/verifications, /v1/reratings, /v1/unrated: long work of the services.

A request answers at once with the job's id; the service carries the job out when it runs.
"""

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from accounts.api.dependencies import Deps, PageCursor, PageLimit, Who
from accounts.api.route_scopes import MONEY, OPERATE, READ
from accounts.jobs.answers import (
    AppliedReratingPage,
    JobPage,
    JobRequested,
    JobWithResult,
    WaitingList,
)
from accounts.jobs.bodies import ReplayBody, RerateBody, RowDropBody, VerificationBody
from accounts.refusals import Unknown

router = APIRouter(tags=["jobs"])
_SERVICE = "rating"


@router.get("/jobs", response_model=JobPage, dependencies=[READ])
async def list_jobs(deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50) -> dict[str, Any]:
    """Jobs of the last 30 days, the newest first."""
    return await deps.jobs.jobs(cursor, limit)


@router.get("/jobs/{request_id}", response_model=JobWithResult, dependencies=[READ])
async def get_job(request_id: UUID, deps: Deps) -> dict[str, Any]:
    """How far a job is, and its result when it is done."""
    return await deps.jobs.job(request_id)


@router.post("/verifications", status_code=202, response_model=JobRequested, dependencies=[OPERATE])
async def request_verification(
    deps: Deps, who: Who, body: VerificationBody | None = None
) -> dict[str, Any]:
    """Have rating check that the books and the funds holds are right. It changes nothing."""
    asked = body or VerificationBody()
    return await _requested(deps, who, "verify", asked.arguments())


@router.get("/reratings", response_model=AppliedReratingPage, dependencies=[READ])
async def list_reratings(
    deps: Deps, cursor: PageCursor = None, limit: PageLimit = 50
) -> dict[str, Any]:
    """Re-ratings that were applied, the newest first."""
    return await deps.jobs.rerate_runs(cursor, limit)


@router.post("/reratings", status_code=202, response_model=JobRequested, dependencies=[MONEY])
async def request_rerating(body: RerateBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Have rating price a period's calls by another version of their tariff.

    With `apply`, each charge that differs is reversed, and the call is charged again.
    """
    command = "rerate.apply" if body.apply else "rerate.dry_run"
    return await _requested(deps, who, command, body.arguments())


@router.post(
    "/reratings/{run_id}/undo", status_code=202, response_model=JobRequested, dependencies=[MONEY]
)
async def request_undo(run_id: UUID, deps: Deps, who: Who) -> dict[str, Any]:
    """Have rating put back the charges that a re-rating replaced."""
    if not await deps.jobs.rerate_run_exists(run_id):
        raise Unknown("run", str(run_id), "`ringfence rerate --list` shows the runs")
    return await _requested(deps, who, "rerate.undo", {"run": str(run_id)})


@router.get("/unrated/waiting", response_model=WaitingList, dependencies=[READ])
async def list_waiting(deps: Deps) -> dict[str, Any]:
    """Calls that could not be rated, counted by reason."""
    return await deps.jobs.waiting()


@router.post("/unrated/replays", status_code=202, response_model=JobRequested, dependencies=[MONEY])
async def request_replay(body: ReplayBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Have rating try unrated calls again. Each call is charged once, however often it is tried."""
    return await _requested(deps, who, "unrated.replay", body.arguments())


@router.post("/unrated/drops", status_code=202, response_model=JobRequested, dependencies=[MONEY])
async def request_drop(body: RowDropBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Have rating drop rows that their PBX does not confirm: nobody is ever charged for them."""
    return await _requested(deps, who, "unrated.drop", body.arguments())


async def _requested(
    deps: Deps, who: Who, command: str, arguments: dict[str, str]
) -> dict[str, Any]:
    request_id = await deps.operations.publish_command(_SERVICE, command, arguments, who, "")
    return {"request_id": request_id}
