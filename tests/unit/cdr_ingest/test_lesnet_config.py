"""Entries of Les.net: profiles, links, templates. Errors name the field and show no secret."""

from pathlib import Path

import pytest

from ringfence_contracts.errors import BadInput
from ringfence_pbx.lesnet.orders import OrderTemplate, PointerNotFound, ReadBack, at_pointer
from ringfence_pbx.lesnet.profile import read_profile
from ringfence_pbx.lesnet.profile_file import DEFAULT, default_profile, load_profile
from ringfence_pbx.servers import LesnetServer, load_servers

DEFAULT_TEXT = DEFAULT.read_text(encoding="utf-8")
KEYS = 'api_key = { env = "A" }\nid_key = { env = "B" }\n'
ORDERS = """
[servers.les.suspend]
path = "peer/disable"
payload = { peer = "{peer}" }
[servers.les.resume]
path = "peer/enable"
[servers.les.read_back]
path = "peer/show"
pointer = "/peer/state"
suspended = ["disabled"]
active = ["enabled"]
"""
LINKS = 'links = [{ url = "https://portal.example/cdr/1.txt", peer = "D4E3CD2BFC791" }]\n'
ENTRY = '[servers.les]\nkind = "lesnet"\nurl = "https://api.example/v1"\n'


def entry(tmp_path: Path, text: str, url: str = "https://api.example/v1") -> LesnetServer:
    path = tmp_path / "servers.toml"
    path.write_text(ENTRY.replace("https://api.example/v1", url) + text)
    return load_servers(path).lesnet["les"]


def test_the_default_profile_states_that_it_is_an_assumption() -> None:
    assert default_profile().zone == "America/Winnipeg"
    assert "AN ASSUMPTION" in DEFAULT_TEXT


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('delimiter = ","', "", "either delimiter or widths"),
        ('delimiter = ","', 'delimiter = ","\nwidths = [1]', "either delimiter or widths"),
        ('delimiter = ","', "delimiter = '\"'", "neither a quote"),
        ("America/Winnipeg", "America/Nowhere", "IANA name"),
        ("America/Winnipeg", "../../etc/passwd", "IANA name"),
        ("%Y-%m-%d %H:%M:%S", "%m-%d %H:%M:%S", "lacks year"),
        ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %Q", "lacks year|cannot be read back"),
        ('encoding = "utf-8"', 'encoding = "utf-16"', "extends ASCII"),
        ('encoding = "utf-8"', 'encoding = "klingon"', "extends ASCII"),
        ("header = true", "header = false", "named by position"),
        ('"Duration"', "0", "columns.duration"),
        ('"seconds"', '"parsecs"', "duration_unit: got 'parsecs'"),
        ('tenant = "link"', 'tenant = "peer"', "needs columns.peer"),
        ('rule = "did"', 'rule = "column"', "needs columns.direction"),
        ("header = true", 'header = true\nskip = "("', "regular expression"),
        ("header = true", 'header = true\ncolour = "red"', "colour"),
        ("header = true", 'header = true\nthousands = "."', "must differ"),
        ("[columns]", "[columns", "valid TOML"),
    ],
)
def test_an_invalid_profile_is_refused_with_its_field(old: str, new: str, message: str) -> None:
    assert old in DEFAULT_TEXT
    with pytest.raises(BadInput, match=message):
        read_profile(DEFAULT_TEXT.replace(old, new, 1), "mine.toml")


def test_a_profile_is_in_the_entry_or_in_its_own_file(tmp_path: Path) -> None:
    own = DEFAULT_TEXT.replace("America/Winnipeg", "UTC")
    (tmp_path / "mine.toml").write_text(own)
    named = entry(tmp_path, f'profile = "{tmp_path}/mine.toml"\n')
    inline = own.replace("[columns]", "[servers.les.profile.columns]")
    inline = inline.replace("[direction]", "[servers.les.profile.direction]")
    within = entry(tmp_path, f"[servers.les.profile]\n{inline}")
    assert named.read_profile() == within.read_profile() == load_profile(tmp_path / "mine.toml")
    assert entry(tmp_path, "").read_profile() == default_profile()
    with pytest.raises(BadInput, match=r"none\.toml"):
        entry(tmp_path, 'profile = "none.toml"\n').read_profile()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINKS.replace("https:", "http:"), "plain http"),
        (LINKS.replace("portal.example", "user:word@portal.example"), "links.0.url"),
        (LINKS.replace("D4E3CD2BFC791", "D4E3"), "links.0.peer"),
        ("links = [{ url = 'https://a.example/f?1' }, { url = 'https://a.example/f?2' }]", "names"),
        ("links = [{ url = 'https://a.example/f', user = 'x' }]", "user and password"),
        ("balance_below = 5\n", "api_key and id_key"),
        (KEYS + "balance_below = -5\n", "balance_below"),
        (KEYS + "balance_below = nan\n", "balance_below"),
        (ORDERS, "api_key and id_key"),
        (KEYS + ORDERS.partition("[servers.les.resume]")[0], "go together"),
        (KEYS + ORDERS.replace("{peer}", "{pear}"), "pear"),
        (KEYS + ORDERS.replace("peer/disable", "/peer/"), "suspend.path"),
        (KEYS + ORDERS.replace('{ peer = "{peer}" }', "{ sequence = 1 }"), "added to every call"),
        (KEYS + ORDERS.replace('["enabled"]', '["disabled"]'), "no value in common"),
        (KEYS + ORDERS.replace('"/peer/state"', '"peer"'), "pointer"),
    ],
)
def test_an_invalid_entry_is_refused_with_its_field(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        entry(tmp_path, text)
    assert "word@" not in str(caught.value)


def test_plain_http_is_accepted_for_loopback_only(tmp_path: Path) -> None:
    for host in ("127.0.0.1:8057", "[::1]:8057", "localhost"):
        assert entry(tmp_path, "", url=f"http://{host}/v1").links == ()
    for host in ("api.example", "127.0.0.1.example", "10.0.0.1"):
        with pytest.raises(BadInput, match="plain http"):
            entry(tmp_path, "", url=f"http://{host}/v1")


def test_a_secret_in_a_wrong_field_is_not_shown(tmp_path: Path) -> None:
    for text in ('api_key = "s3cret"', 'id_key = "s3cret"',
                 "links = [{ url = 'ftp://portal.example/?s3cret' }]"):  # fmt: skip
        with pytest.raises(BadInput) as caught:
            entry(tmp_path, text)
        assert "s3cret" not in str(caught.value)


def test_a_template_is_filled_in_at_any_depth() -> None:
    order = OrderTemplate(
        path="peer/{peer}/x", payload={"a": [{"b": "did {did}"}], "n": 1, "t": True}
    )
    path, payload = order.fill(peer="D4E3CD2BFC791", did="1204")
    assert path == "peer/D4E3CD2BFC791/x"
    assert payload == {"a": [{"b": "did 1204"}], "n": 1, "t": True}
    assert order.per_did
    assert not OrderTemplate(path="peer/{peer}").per_did


def test_a_json_pointer_finds_a_value_or_raises() -> None:
    answer = {"peers": [{"state": "on"}, {"a/b": 1, "m~n": 2}], "": {"": 3}}
    assert at_pointer(answer, "/peers/0/state") == "on"
    assert at_pointer(answer, "/peers/1/a~1b") == 1
    assert at_pointer(answer, "/peers/1/m~0n") == 2
    assert at_pointer(answer, "//") == 3
    for pointer in ("/peers/2", "/peers/-1", "/peers/x", "/none", "/peers/0/state/0"):
        with pytest.raises(PointerNotFound):
            at_pointer(answer, pointer)


@pytest.mark.parametrize(
    ("value", "state"),
    [("off", "suspended"), (0, "suspended"), (True, "active"), (1, None), (False, None),
     ("0", None), (None, None), (["off"], None)],
)  # fmt: skip
def test_a_state_is_compared_by_value_and_type(
    value: int | list[str] | str | None, state: str | None
) -> None:
    read_back = ReadBack(path="show", pointer="/x", suspended=("off", 0), active=(True,))
    assert read_back.state({"x": value}) == state
