"""The doctor says how a row that a tenant forged would be noticed."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ringfence_pbx.fusionpbx.exports.signing import export_settings
from ringfence_simulators.fusionpbx.app import FusionPbxSimulator
from tests.support.doctor import Run, doctor_command, examined
from tests.support.fusionpbx import MCON, outbound, simulated

SECRET = "s" * 40


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return doctor_command(monkeypatch, tmp_path)


@pytest.fixture
async def pbx(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FusionPbxSimulator]:
    monkeypatch.setenv("TEST_EXPORT_SECRET", SECRET)
    async with simulated(monkeypatch, clock=time.time) as simulator:
        yield simulator


def entry(pbx: FusionPbxSimulator, **changed: Any) -> dict[str, Any]:
    key = {"env": "TEST_FUSIONPBX_SUPER"}
    server = {"kind": "fusionpbx", "url": pbx.url, "host": MCON, "api_key": key}
    return {**server, "all_tenants": True, **changed}


async def forged_rows(run: Run, pbx: FusionPbxSimulator, **changed: Any) -> list[dict[str, Any]]:
    found = await examined(run, "pbx1", entry(pbx, **changed))
    return [f for f in found.findings if f["check"] == "forged rows"]


async def test_unsigned_rows_are_confirmed_one_by_one_and_signing_is_proposed(
    run: Run, pbx: FusionPbxSimulator
) -> None:
    (check,) = await forged_rows(run, pbx)
    assert (check["state"], check["said"]) == ("ok", "no call of the last week to try it with")
    pbx.pbx.place(outbound(caller_id_name='Sales "West"'))
    (check,) = await forged_rows(run, pbx)
    assert check["state"] == "ok"
    assert check["said"].startswith("new rows are confirmed one by one, in ")
    assert "ringfence server sign-export pbx1" in check["do"]
    assert 'way = "database"' in check["do"]


async def test_signed_rows_are_recognised_and_missing_signatures_are_named(
    run: Run, pbx: FusionPbxSimulator
) -> None:
    secret = {"env": "TEST_EXPORT_SECRET"}
    pbx.pbx.place(outbound())
    missing, confirmed = await forged_rows(run, pbx, export_secret=secret)
    assert (missing["state"], confirmed["state"]) == ("warn", "ok")
    assert missing["said"] == "1 of 1 rows have no right signature"
    for setting in export_settings(SECRET):
        pbx.pbx.default_settings.append({**setting._asdict(), "enabled": "true"})
    (check,) = await forged_rows(run, pbx, export_secret=secret)
    assert (check["state"], check["said"]) == ("ok", "its database signs the rows of the export")


async def test_a_narrow_export_that_finds_nothing_is_a_failure(
    run: Run, pbx: FusionPbxSimulator
) -> None:
    pbx.pbx.place(outbound(xml_cdr_uuid="0F4205B4-907A-40C3-9012-F037B64CE422"))
    hidden = pbx.pbx.calls[0]
    pbx.site.export_bodies[""] = (
        f'"xml_cdr_uuid","domain_name"\n"{hidden.columns["start_epoch"]}","{MCON}"\n'.encode()
    )
    (check,) = await forged_rows(run, pbx)
    assert check["state"] == "fail"
    assert "not found by its id" in check["said"]
    assert "xml_cdr_all" in check["do"]
