"""/v1/packages: how products are rated. A change is published for all accounts that use it."""

from typing import Any

from fastapi import APIRouter

from accounts.api.dependencies import Deps, Who
from accounts.api.route_scopes import MONEY, READ
from accounts.clients.store_publishing import AuditEntry
from accounts.packages.answers import ChangedPackage, PackageAnswer, PackageList
from accounts.packages.bodies import PackageBody
from accounts.packages.terms import package_warnings
from ringfence_contracts.events.model import Id

router = APIRouter(prefix="/packages", tags=["packages"])


@router.put(
    "/{package_id}",
    response_model=ChangedPackage,
    response_model_exclude_unset=True,
    dependencies=[MONEY],
)
async def put_package(package_id: Id, body: PackageBody, deps: Deps, who: Who) -> dict[str, Any]:
    """Create or replace a package. The response counts the accounts published for it."""
    package = body.package()
    entry = AuditEntry(who, f"package {package_id} changed")
    published = await deps.store.put_package(package_id, package, entry)
    named = {package.tariff_id, *(b.tariff_id for b in package.time_bands if b.tariff_id)}
    unknown = [each for each in sorted(named) if not await deps.tariffs.known(each)]
    return {
        "package_id": package_id,
        **package.model_dump(mode="json"),
        "accounts_told": len(published),
        "warnings": package_warnings(package, unknown_tariffs=unknown),
    }


@router.get("", response_model=PackageList, response_model_exclude_unset=True, dependencies=[READ])
async def list_packages(deps: Deps) -> dict[str, Any]:
    """All packages."""
    found = await deps.store.packages()
    items = [{"package_id": key, **p.model_dump(mode="json")} for key, p in found.items()]
    return {"items": items, "next": None}


@router.get(
    "/{package_id}",
    response_model=PackageAnswer,
    response_model_exclude_unset=True,
    dependencies=[READ],
)
async def get_package(package_id: Id, deps: Deps) -> dict[str, Any]:
    """One package."""
    package = await deps.store.package(package_id)
    return {"package_id": package_id, **package.model_dump(mode="json")}
