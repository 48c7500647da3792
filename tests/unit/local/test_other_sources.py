"""The sources of `ringfence run`: their secrets are generated, and in no argument."""

import stat
from pathlib import Path

from ringfence_local.demo.other_sources import OtherSources
from ringfence_local.demo.scene import PBX_ID
from ringfence_pbx.servers import FusionPbxServer, load_servers

KEY = "a-key-of-the-simulated-pbx"


def sources(folder: Path) -> OtherSources:
    """The sources, on ports that nothing listens on."""
    return OtherSources(folder, vodia=1, lesnet=2, push=3)


def secrets_of(folder: Path) -> set[str]:
    """Every generated secret."""
    return {file.read_text().strip() for file in (folder / "secrets").iterdir()}


def test_posts_need_a_generated_password(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    file = tmp_path / "servers.toml"
    file.write_text(
        f'[servers.{PBX_ID}]\nkind = "fusionpbx"\nurl = "http://127.0.0.1:1"\n'
        f'api_key = {{ file = "{key}" }}\nall_tenants = true\nhost = "pbx.example"\n'
        + sources(tmp_path).servers()
    )
    server = load_servers(file).servers[PBX_ID]
    assert isinstance(server, FusionPbxServer)
    assert server.push is not None
    assert not server.push.open
    assert server.push.password is not None
    password = server.push.password.read().get_secret_value()
    assert len(password) >= 32
    sources(tmp_path).poster(1.0)
    assert f"{server.push.user}:{password}" in secrets_of(tmp_path)


def test_no_secret_is_in_an_argument_or_readable_by_others(tmp_path: Path) -> None:
    made = sources(tmp_path)
    made.servers()
    programs = [made.poster(1.0), *(program for program, _ in made.simulators())]
    arguments = " ".join(part for program in programs for part in program.command)
    found = secrets_of(tmp_path)
    assert len(found) == 5
    assert [secret for secret in found if secret in arguments] == []
    for file in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
