"""Payloads match the agreed contracts: golden schemas, examples, generated pages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence_contracts.command import findings
from ringfence_contracts.documents.asyncapi import document
from ringfence_contracts.documents.block_yaml import as_yaml
from ringfence_contracts.examples import Example, all_examples, examples_of
from ringfence_contracts.schemas import schema_of
from ringfence_contracts.topics import ALL_TOPICS, Topic, topic_configs

ROOT = Path(__file__).parents[2]
each_topic = pytest.mark.parametrize("topic", ALL_TOPICS, ids=lambda topic: topic.name)
each_example = pytest.mark.parametrize(
    "example", all_examples(), ids=lambda example: f"{example.topic.name}/{example.name}"
)


def nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, with its path."""
    if isinstance(schema, dict):
        yield path, schema
        for name, inner in schema.items():
            yield from nodes(inner, f"{path}.{name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from nodes(inner, path)


def test_golden_schemas_and_generated_pages_match_the_code() -> None:
    """`ringfence contracts check` does the same and prints what to do."""
    assert [finding.text for finding in findings(ROOT)] == []


@each_topic
def test_names_are_entity_fact_and_major(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\.v[1-9]", topic.name)


@each_topic
def test_writers_and_readers_have_the_same_schema(topic: Topic) -> None:
    model = topic.data
    assert model.model_json_schema(mode="serialization") == model.model_json_schema()


@each_topic
def test_whole_numbers_are_bounded_so_that_every_table_can_hold_them(topic: Topic) -> None:
    """A version of 10^30 must become a dead letter, not crash its consumer."""
    unbounded = [
        path
        for path, node in nodes(schema_of(topic))
        if node.get("type") == "integer" and not {"minimum", "maximum"} <= node.keys()
    ]
    assert unbounded == []


@each_topic
def test_texts_are_bounded(topic: Topic) -> None:
    limits = {"maxLength", "pattern", "format", "enum", "const"}
    unbounded = [
        path
        for path, node in nodes(schema_of(topic))
        if node.get("type") == "string" and not limits & node.keys()
    ]
    assert unbounded == []


@each_topic
def test_money_is_whole_micro_units_and_nothing_is_a_float(topic: Topic) -> None:
    schema = schema_of(topic)
    assert [path for path, node in nodes(schema) if node.get("type") == "number"] == []
    for _, node in nodes(schema):
        for name, field in node.get("properties", {}).items():
            if name.endswith("_micro"):
                kinds = {part["type"] for part in field.get("anyOf", [field])}
                assert "integer" in kinds, name
                assert kinds <= {"integer", "null"}, name


@each_example
def test_examples_are_valid_records_of_their_topic(example: Example) -> None:
    """The model knows every field, and writes the same that it has read."""
    event = example.event()
    assert event.model_dump(mode="json", exclude_unset=True).keys() == example.document.keys()
    assert example.topic.data.model_validate_json(event.to_json()) == event
    written = json.loads(event.to_json())
    assert _known(example.document, written), "a field of the example is unknown to the model"


def _known(part: Any, whole: Any) -> bool:
    """Whether every field of `part` is one of `whole`, all the way down."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _known(part[name], whole[name]) for name in part)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_known, part, whole))
    return True


@each_topic
def test_examples_show_every_field_and_leave_out_every_optional_one(topic: Topic) -> None:
    """So that readers neither rely on an optional field nor fail because of one."""
    documents = [example.document for example in examples_of(topic)]
    schema = topic.data.model_json_schema()
    optional = schema["properties"].keys() - set(schema["required"])
    assert set().union(*documents) == schema["properties"].keys()
    for name in optional:
        assert any(name not in document for document in documents), name


@each_example
def test_examples_carry_cloudevents_headers(example: Example) -> None:
    headers = dict(example.record().headers())
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"].decode() == example.topic.name
    assert headers["ce_source"].decode() == f"/ringfence/{example.topic.writer}"
    assert headers["content-type"] == b"application/json"
    assert {"ce_id", "ce_time", "ce_subject"} <= headers.keys()


def test_the_asyncapi_document_names_every_topic_and_every_reference_leads_somewhere() -> None:
    api = document()
    assert {channel["address"] for channel in api["channels"].values()} == topic_configs().keys()
    for path, node in nodes(api):
        if isinstance(reference := node.get("$ref"), str):
            assert _found(api, reference), f"{path}: {reference}"


def _found(api: dict[str, Any], reference: str) -> bool:
    node: Any = api
    for step in reference.removeprefix("#/").split("/"):
        node = node.get(step, {})
    return bool(node)


def test_the_asyncapi_document_has_an_operation_for_each_writer_and_reader() -> None:
    operations = {
        (operation["tags"][0]["name"], operation["action"], operation["channel"]["$ref"])
        for operation in document()["operations"].values()
    }
    channels = {c["address"]: f"#/channels/{name}" for name, c in document()["channels"].items()}
    for topic in ALL_TOPICS:
        assert (topic.writer, "send", channels[topic.name]) in operations
        for reader in topic.readers:
            assert (reader, "receive", channels[topic.name]) in operations
            assert (reader, "send", channels[topic.dead_letters(reader)]) in operations


def test_yaml_quotes_ambiguous_texts() -> None:
    text = as_yaml(
        {
            "plain": "a call, and why",
            "no": "no",
            "number": "3.0.0",
            "colon": "key: value",
            "hash": "a #b",
            "quote": 'say "x"',
            "lines": "a\nb",
            "empty": "",
            "dash": "- a",
            "none": None,
            "true": True,
            "list": [{"a": 1, "b": []}, "x"],
        }
    )
    assert text == (
        "plain: a call, and why\n"
        '"no": "no"\n'
        'number: "3.0.0"\n'
        'colon: "key: value"\n'
        'hash: "a #b"\n'
        'quote: "say \\"x\\""\n'
        'lines: "a\\nb"\n'
        'empty: ""\n'
        'dash: "- a"\n'
        "none: null\n"
        '"true": true\n'
        "list:\n"
        "  -\n"
        "    a: 1\n"
        "    b: []\n"
        "  - x\n"
    )
