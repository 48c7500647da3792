"""A change of a contract is classified, and a breaking change is never accepted."""

import json
import shutil
from pathlib import Path
from typing import Annotated, Literal

import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel, Field, create_model

from ringfence_contracts.command import contracts
from ringfence_contracts.evolution import Difference, differences
from ringfence_contracts.schemas import UntitledSchema

ROOT = Path(__file__).parents[2]


class _Inner(BaseModel):
    name: str


def changes(old: object, new: object) -> list[str]:
    """The differences between two types of one field, as kinds."""
    return sorted({d.kind for d in _between({"x": (old, ...)}, {"x": (new, ...)})})


def _between(old: dict[str, object], new: dict[str, object]) -> list[Difference]:
    return differences(_model(old), _model(new))


def _model(fields: dict[str, object]) -> dict[str, object]:
    model: type[BaseModel] = create_model("Model", **fields)  # type: ignore[call-overload]
    return model.model_json_schema(schema_generator=UntitledSchema)


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        pytest.param(int, int, [], id="the same"),
        pytest.param(int, str, ["breaking", "readers-first"], id="another type"),
        pytest.param(int | None, int, ["breaking"], id="null no longer"),
        pytest.param(int, int | None, ["readers-first"], id="null too"),
        pytest.param(int, Annotated[int, Field(ge=0)], ["breaking"], id="a lower bound"),
        pytest.param(Annotated[int, Field(ge=0)], int, ["readers-first"], id="no lower bound"),
        pytest.param(
            Annotated[int, Field(le=9)], Annotated[int, Field(le=10)], ["readers-first"], id="wider"
        ),
        pytest.param(
            Annotated[str, Field(max_length=10)],
            Annotated[str, Field(max_length=9)],
            ["breaking"],
            id="shorter",
        ),
        pytest.param(
            Annotated[str, Field(min_length=1)],
            Annotated[str, Field(min_length=0)],
            ["readers-first"],
            id="may be empty",
        ),
        pytest.param(
            Annotated[str, Field(pattern="a")],
            Annotated[str, Field(pattern="b")],
            ["breaking"],
            id="another pattern",
        ),
        pytest.param(
            Literal["a", "b"], Literal["a", "c"], ["breaking", "readers-first"], id="enum"
        ),
        pytest.param(Literal["a", "b"], Literal["a"], ["breaking"], id="one value is left"),
        pytest.param(Literal["a"], str, ["readers-first"], id="any value"),
        pytest.param(str, Literal["a", "b"], ["breaking"], id="listed values"),
        pytest.param(list[int], list[str], ["breaking", "readers-first"], id="items"),
        pytest.param(dict[str, int], dict[str, str], ["breaking", "readers-first"], id="values"),
        pytest.param(list[int], tuple[int, ...], [], id="a tuple is a list"),
        pytest.param(_Inner, _Inner | None, ["readers-first"], id="a part that may be absent"),
    ],
)
def test_a_changed_field(old: object, new: object, kinds: list[str]) -> None:
    assert changes(old, new) == kinds


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"x": (int, 1)}, ["x: added, optional (additive)"]),
        ({}, {"x": (int, ...)}, ["x: added, required (breaking)"]),
        ({"x": (int, 1)}, {}, ["x: removed (breaking)"]),
        ({"x": (int, 1)}, {"x": (int, 2)}, ["x: default 1 -> 2 (breaking)"]),
    ],
)
def test_added_and_removed_fields(old: object, new: object, expected: list[str]) -> None:
    assert [str(d) for d in _between(old, new)] == expected  # type: ignore[arg-type]


def test_a_required_field_that_becomes_optional_is_reported_with_its_default() -> None:
    """Older readers would refuse a record without it, and its absence gets a meaning."""
    kinds = {d.kind for d in _between({"x": (int, ...)}, {"x": (int, 1)})}
    assert "readers-first" in kinds
    assert {d.kind for d in _between({"x": (int, 1)}, {"x": (int, ...)})} >= {"breaking"}


def test_nested_changes_are_reported_with_their_path() -> None:
    class Part(BaseModel):
        name: str
        size: int

    class Before(BaseModel):
        parts: list[_Inner] = []
        one: _Inner | None = None

    class After(BaseModel):
        parts: list[Part] = []
        one: Part | None = None

    found = differences(Before.model_json_schema(), After.model_json_schema())
    reported = [str(d) for d in found if d.kind != "wording"]
    assert reported == [
        "parts[].size: added, required (breaking)",
        "one.size: added, required (breaking)",
    ]


def test_a_change_of_the_key_is_breaking() -> None:
    old = {"type": "object", "x-key": "account_id"}
    (found,) = differences(old, {**old, "x-key": "call_id"})
    assert found.kind == "breaking"


def test_reworded_descriptions_do_not_affect_readers() -> None:
    old = {"type": "object", "description": "a"}
    assert [d.kind for d in differences(old, {**old, "description": "b"})] == ["wording"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `ringfence contracts` reads and writes."""
    shutil.copytree(ROOT / "tests/contract/golden", tmp_path / "tests/contract/golden")
    (tmp_path / "docs").mkdir()
    for page in ("docs/topics.md", "docs/asyncapi.yaml", "docs/asyncapi.html"):
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def run(checkout: Path, what: str) -> Result:
    return CliRunner().invoke(contracts, ["--root", str(checkout), what])


def agreed(checkout: Path, topic: str) -> dict[str, dict[str, object]]:
    golden = checkout / f"tests/contract/golden/{topic}.json"
    schema: dict[str, dict[str, object]] = json.loads(golden.read_text())
    return schema


def agree_to(checkout: Path, topic: str, schema: object) -> None:
    (checkout / f"tests/contract/golden/{topic}.json").write_text(json.dumps(schema))


def test_an_additive_change_is_reported_and_accepted_by_write(checkout: Path) -> None:
    schema = agreed(checkout, "payment.received.v1")
    del schema["properties"]["reference"]
    agree_to(checkout, "payment.received.v1", schema)
    found = run(checkout, "check")
    assert found.exit_code == 1
    assert "payment.received.v1: reference: added, optional (additive); agree" in found.output
    assert run(checkout, "write").exit_code == 0
    assert run(checkout, "check").exit_code == 0


@pytest.mark.parametrize("command", ["check", "write"])
def test_a_break_needs_a_new_topic_and_write_refuses_it(checkout: Path, command: str) -> None:
    schema = agreed(checkout, "payment.received.v1")
    schema["properties"]["payer"] = {"type": "string"}
    agree_to(checkout, "payment.received.v1", schema)
    before = (checkout / "tests/contract/golden/payment.received.v1.json").read_bytes()
    answer = run(checkout, command)
    assert answer.exit_code == 1
    assert "payer: removed (breaking)" in answer.output
    assert "a new topic, payment.received.v2" in " ".join(answer.output.split())
    assert (checkout / "tests/contract/golden/payment.received.v1.json").read_bytes() == before


def test_a_new_topic_has_no_golden_schema_until_it_is_written(checkout: Path) -> None:
    (checkout / "tests/contract/golden/notice.sent.v1.json").unlink()
    assert "notice.sent.v1: no golden schema" in run(checkout, "check").output
    assert run(checkout, "write").exit_code == 0
    assert run(checkout, "check").exit_code == 0


def test_a_removed_topic_is_reported(checkout: Path) -> None:
    agree_to(checkout, "call.dropped.v1", {})
    assert "call.dropped.v1: the topic is gone" in run(checkout, "check").output
    assert run(checkout, "write").exit_code == 1


@pytest.mark.parametrize("page", ["docs/topics.md", "docs/asyncapi.yaml", "docs/asyncapi.html"])
def test_generated_parts_of_pages_are_replaced(checkout: Path, page: str) -> None:
    path = checkout / page
    text = path.read_text()
    path.write_text(text.replace("notice.sent.v1", "notice.gone.v1"))
    assert f"{page}: not as the code says" in run(checkout, "check").output
    assert run(checkout, "write").exit_code == 0
    assert path.read_text() == text


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    answer = run(tmp_path, "check")
    assert answer.exit_code != 0
    assert "a checkout" in str(answer.exception)
