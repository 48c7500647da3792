"""The servers file: secrets by reference, and a refusal that names the field and no secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ringfence_contracts.errors import BadInput
from ringfence_pbx.servers import (
    FusionPbxServer,
    LesnetServer,
    SecretRef,
    VodiaServer,
    load_servers,
)

GOOD = """
[servers.pbx-1]
kind = "fusionpbx"
url = "https://pbx.example"
api_key = { env = "PBX_1_KEY" }
tenants = ["acme.voice.example"]

[servers.vodia-1]
kind = "vodia"
url = "https://vodia.example"
user = "admin"
password = { file = "/run/secrets/vodia" }
timeout_s = 10
concurrency = 2

[servers.lesnet-1]
kind = "lesnet"
url = "https://cdr.example"
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "servers.toml"
    path.write_text(text)
    return path


def test_each_kind_of_server_is_read(tmp_path: Path) -> None:
    servers = load_servers(file(tmp_path, GOOD)).servers
    kinds = {name: type(server) for name, server in servers.items()}
    assert kinds == {"pbx-1": FusionPbxServer, "vodia-1": VodiaServer, "lesnet-1": LesnetServer}
    assert servers["vodia-1"].timeout_s == 10
    assert list(load_servers(file(tmp_path, GOOD)).fusionpbx) == ["pbx-1"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[servers.pbx-1]", "[servers.pbx-1", "servers file: .*valid TOML"),
        ('"fusionpbx"', '"asterisk"', "servers.toml: servers.pbx-1: .*'fusionpbx'"),
        ("https://pbx.example", "pbx.example", "servers.pbx-1.fusionpbx.url: got 'pbx.example'"),
        ("timeout_s = 10", "timeout_s = 0", "timeout_s: got 0, expected more than 0"),
        ("concurrency = 2", "concurrency = 1000", "concurrency: got 1000"),
        ("concurrency = 2", "colour = 2", "colour: .*no such field"),
        ('user = "admin"', "", "user: .*a value: it is required"),
        ('{ env = "PBX_1_KEY" }', "{ }", "api_key: .*exactly one of env and file"),
        ('{ env = "PBX_1_KEY" }', '{ env = "A", file = "b" }', "exactly one of env and file"),
        ("[servers.pbx-1]", '[servers."a b"]', "a b"),
    ],
)
def test_a_malformed_file_is_refused_by_the_field(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in GOOD
    with pytest.raises(BadInput, match=f"(?s){says}"):
        load_servers(file(tmp_path, GOOD.replace(old, new, 1)))


def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    text = GOOD.replace('{ env = "PBX_1_KEY" }', '"s3cret-key-of-acme"')
    with pytest.raises(BadInput) as refused:
        load_servers(file(tmp_path, text))
    assert "api_key" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("field", ["value", "secret"])
def test_a_secret_under_another_name_is_refused_and_not_shown(tmp_path: Path, field: str) -> None:
    text = GOOD.replace('{ env = "PBX_1_KEY" }', f'{{ {field} = "s3cret-key-of-acme" }}')
    with pytest.raises(BadInput) as refused:
        load_servers(file(tmp_path, text))
    assert "s3cret" not in str(refused.value)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"servers file: .*none\.toml"):
        load_servers(tmp_path / "none.toml")


def test_a_secret_is_read_from_the_named_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    monkeypatch.setenv("PBX_1_KEY", "from-the-environment")
    assert SecretRef(file=tmp_path / "key").read().get_secret_value() == "from-a-file"
    secret = SecretRef(env="PBX_1_KEY").read()
    assert secret.get_secret_value() == "from-the-environment"
    assert "from" not in repr(secret)


def test_a_missing_secret_is_reported_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "blank").write_text(" \n")
    for reference, place in (
        (SecretRef(env="NOT_SET_ANYWHERE"), "environment variable NOT_SET_ANYWHERE"),
        (SecretRef(env="EMPTY"), "environment variable EMPTY"),
        (SecretRef(file=tmp_path / "none"), "none"),
        (SecretRef(file=tmp_path / "blank"), "blank"),
    ):
        with pytest.raises(BadInput, match=place):
            reference.read()


def test_a_reference_names_exactly_one_place() -> None:
    with pytest.raises(ValidationError):
        SecretRef()
