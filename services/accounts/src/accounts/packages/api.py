"""/v1/packages: how products are rated. Changing one tells all accounts that use it."""

from typing import Any

from fastapi import APIRouter

from accounts.api.bodies import PackageBody
from accounts.api.rooms import In, Who
from accounts.packages.terms import package_warnings
from accounts.store import Deed
from ringfence_contracts.events.model import Id

router = APIRouter(prefix="/packages", tags=["packages"])


@router.put("/{package_id}")
async def put_package(package_id: Id, body: PackageBody, rooms: In, who: Who) -> dict[str, Any]:
    """Create or replace a package; the answer names the accounts that were told of it."""
    package = body.package()
    done = Deed(who, f"package {package_id} changed")
    told = await rooms.store.put_package(package_id, package, done)
    known = await rooms.tariffs.known(package.tariff_id)
    return {
        "package_id": package_id,
        **package.model_dump(mode="json"),
        "accounts_told": len(told),
        "warnings": package_warnings(package, tariff_known=known),
    }


@router.get("")
async def list_packages(rooms: In) -> dict[str, Any]:
    """All packages."""
    found = await rooms.store.packages()
    items = [{"package_id": key, **p.model_dump(mode="json")} for key, p in found.items()]
    return {"items": items, "next": None}


@router.get("/{package_id}")
async def get_package(package_id: Id, rooms: In) -> dict[str, Any]:
    """One package."""
    package = await rooms.store.package(package_id)
    return {"package_id": package_id, **package.model_dump(mode="json")}
