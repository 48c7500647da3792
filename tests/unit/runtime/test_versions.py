"""One version: packages, image tags and the changelog agree with the sources."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence.observe.health import Health
from ringfence.version import VERSION, describe_version

ROOT = Path(__file__).parents[3]
VERSION_FILE = ROOT / "shared" / "runtime" / "src" / "ringfence" / "version.py"
FOLDERS = ("shared/*", "services/*", "deploy/*")
PACKAGES = sorted(path for f in FOLDERS for path in ROOT.glob(f"{f}/pyproject.toml"))
IMAGE = re.compile(r"/ringfence\}?/([\w-]+):\$\{RINGFENCE_VERSION:-([^}]*)\}")


def project(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.name)
def test_a_package_has_the_version_of_the_version_file(path: Path) -> None:
    content = project(path)
    assert content["project"]["dynamic"] == ["version"]
    assert (path.parent / content["tool"]["hatch"]["version"]["path"]).resolve() == VERSION_FILE
    name = content["project"]["name"]
    assert installed_version(name) == VERSION, "make install brings packages up to date"


def test_the_compose_file_names_the_images_of_this_version() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    named = IMAGE.findall(text)
    assert len(named) == text.count("RINGFENCE_VERSION") > 6
    assert {tag for _, tag in named} == {VERSION}
    example = (ROOT / "deploy" / "compose" / ".env.example").read_text(encoding="utf-8")
    assert f"\n# RINGFENCE_VERSION={VERSION}\n" in example


@pytest.mark.parametrize("folder", ["base", "overlays/demo"])
def test_manifests_name_the_images_of_this_version(folder: str) -> None:
    path = ROOT / "deploy" / "kubernetes" / folder / "kustomization.yaml"
    images = yaml.safe_load(path.read_text(encoding="utf-8"))["images"]
    ours = [image for image in images if image["name"].startswith("localhost/ringfence/")]
    assert ours
    assert {image["newTag"] for image in ours} == {VERSION}


def test_an_image_that_is_built_by_hand_is_of_this_version() -> None:
    text = (ROOT / "deploy" / "images" / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^ARG VERSION=(.*)$", text, re.MULTILINE) == [VERSION]
    assert re.search(r"^ENV RINGFENCE_BUILD_VERSION=\$\{VERSION\}", text, re.MULTILINE)


def test_health_says_the_version_and_the_revision_of_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("VERSION", "REVISION"):
        monkeypatch.delenv(f"RINGFENCE_BUILD_{name}", raising=False)
    report = Health().report()
    assert (report["version"], report.get("revision")) == (VERSION, None)
    assert describe_version() == VERSION
    monkeypatch.setenv("RINGFENCE_BUILD_VERSION", "0.2.0-mine")
    monkeypatch.setenv("RINGFENCE_BUILD_REVISION", "8cd11ba")
    report = Health().report()
    assert (report["version"], report["revision"]) == ("0.2.0-mine", "8cd11ba")
    assert describe_version() == "0.2.0-mine, revision 8cd11ba"
    monkeypatch.setenv("RINGFENCE_BUILD_REVISION", "unknown")
    assert "revision" not in Health().report()


def test_the_module_prints_it() -> None:
    command = [sys.executable, "-m", "ringfence.version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={})
    assert done.stdout == f"{VERSION}\n"


def test_another_version_is_written_wherever_it_is_named(tmp_path: Path) -> None:
    """`make version` in a copy of what it writes: no old version is left."""
    named = [VERSION_FILE, *_that_name_images()]
    for path in (ROOT / "Makefile", *named):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    command = ["make", "-C", str(tmp_path), "version", "TO=7.8.9"]
    subprocess.run(command, check=True, capture_output=True)
    for path in named:
        before, after = path.read_text(), (tmp_path / path.relative_to(ROOT)).read_text()
        assert before.count(VERSION) > 0, path
        assert (after.count("7.8.9"), after.count(VERSION)) == (before.count(VERSION), 0), path


def _that_name_images() -> list[Path]:
    deploy = ROOT / "deploy"
    manifests = deploy.glob("kubernetes/**/kustomization.yaml")
    return [
        deploy / "compose.yaml",
        deploy / "compose" / ".env.example",
        deploy / "images" / "Dockerfile",
        *(path for path in manifests if "newTag" in path.read_text(encoding="utf-8")),
    ]
