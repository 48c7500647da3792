"""The page of the topics: complete, correct, and readable without a network."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ringfence_contracts.documents.asyncapi import dead_letters, document
from ringfence_contracts.documents.field_words import named
from ringfence_contracts.documents.html_tree import as_page, element, with_code
from ringfence_contracts.documents.page import page
from ringfence_contracts.documents.type_words import type_words
from ringfence_contracts.examples import all_examples
from ringfence_contracts.topics import ALL_TOPICS, PARTITIONS, Topic, retention

DOCS = Path(__file__).parents[2] / "docs"
NEVER_CLOSED = {"meta"}
each_topic = pytest.mark.parametrize("topic", ALL_TOPICS, ids=lambda topic: topic.name)


class Page(HTMLParser):
    """What a browser finds: anchors, links, tags, and the texts of each section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.sections: dict[str, list[str]] = {}
        self.rows: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self._section = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.add(tag)
        if tag not in NEVER_CLOSED:
            self._open.append(tag)
        self.ids += [attributes["id"] or ""] if "id" in attributes else []
        self.links += [v or "" for name, v in attrs if name in ("href", "src", "action")]
        if tag == "h2":
            self._section = attributes["id"] or ""
        elif tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("th", "td"):
            self.rows[self._section][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.sections.setdefault(self._section, []).append(data)
        if self._open and {"th", "td"} & set(self._open):
            self.rows[self._section][-1][-1] += data

    def text(self, section: str) -> str:
        """All words of a section."""
        return " ".join(" ".join(self.sections[section]).split())


@pytest.fixture(scope="module")
def shown() -> Page:
    return Page(page())


def test_links_lead_to_the_page_or_a_file_beside_it(shown: Page) -> None:
    assert len(shown.ids) == len(set(shown.ids))
    lost = [
        link
        for link in shown.links
        if (link[1:] not in shown.ids if link.startswith("#") else not (DOCS / link).is_file())
    ]
    assert lost == []
    assert "#" + ALL_TOPICS[0].name in shown.links


def test_the_page_loads_nothing(shown: Page) -> None:
    """No script, image or style from elsewhere: it looks the same from a disk."""
    assert shown.tags.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    style = page().partition("<style>")[2].partition("</style>")[0]
    assert "{" in style
    assert not [word for word in ("url(", "@import", "//", "<") if word in style]


@each_topic
def test_a_topic_shows_writer_readers_and_retention(shown: Page, topic: Topic) -> None:
    text = shown.text(topic.name)
    assert f"Written by {topic.writer} Read by {', '.join(topic.readers) or 'none'}" in text
    assert f"Key {topic.keyed_by} Partitions {PARTITIONS} Kept {retention(topic.name)}" in text
    for reader in topic.readers:
        assert topic.dead_letters(reader) in text


def models(schemas: dict[str, Any], name: str) -> dict[str, Any]:
    """A model and those inside of it."""
    found = {name: schemas[name]}
    for inner in schemas:
        if f'"#/components/schemas/{inner}"' in json.dumps(schemas[name]):
            found |= models(schemas, inner)
    return found


@each_topic
def test_every_field_has_a_row_with_its_type_its_unit_and_its_meaning(
    shown: Page, topic: Topic
) -> None:
    rows = [row for row in shown.rows[topic.name] if row[0] != "Field"]
    schemas = models(document()["components"]["schemas"], topic.data.__name__)
    assert sorted(row[0] for row in rows) == sorted(
        name for schema in schemas.values() for name in schema["properties"]
    )
    for name, kind, unit, absent, meaning in rows:
        assert kind, name
        assert absent, name
        assert meaning.endswith("."), name
        assert (unit == "micro-units") == name.endswith("_micro"), name
        assert unit == "seconds" or not name.endswith(("_s", "billsec")), name


def test_every_example_is_on_the_page_unchanged(shown: Page) -> None:
    for example in all_examples():
        text = "".join(shown.sections[example.topic.name])
        assert json.dumps(example.document, indent=2, ensure_ascii=False) in text, example.name


def test_every_dead_letter_topic_is_listed(shown: Page) -> None:
    rows = {row[0]: row[1:] for row in shown.rows["dead-letters"]}
    for name, (source, writer) in dead_letters().items():
        assert rows[name] == [writer, source, retention(name)]


def test_every_meaning_belongs_to_a_field() -> None:
    schemas = document()["components"]["schemas"]
    fields = {(model, name) for model in schemas for name in schemas[model].get("properties", {})}
    everywhere = {("", name) for _, name in fields}
    assert named() - fields - everywhere == set()


def test_texts_are_escaped() -> None:
    odd = Page(as_page(element("p", "a <b>", *with_code("x `<i>` & y"), title='"<u>')))
    assert odd.tags == {"p", "code"}
    assert odd.text("") == "a <b>x <i> & y"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "format": "uuid"}, "UUID"),
        ({"type": "string", "maxLength": 1000}, "text, at most 1,000"),
        ({"type": "string", "pattern": "^[A-Z]{3}$"}, "text, ^[A-Z]{3}$"),
        ({"type": "integer", "minimum": -5, "maximum": 1000}, "whole number, −5 to 1,000"),
        ({"type": "integer", "minimum": -(10**17), "maximum": 10**17}, "whole number, ±10¹⁷"),
        ({"type": "integer", "minimum": 0, "maximum": 2**53 - 1}, "whole number, 0 to 2⁵³ − 1"),
        (
            {"type": "string", "maxLength": 100, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"},
            "text of letters, digits, . _ -, at most 100",
        ),
        ({"enum": ["a", ""], "type": "string"}, 'a · ""'),
        ({"const": "1.0"}, "always 1.0"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "true or false or null"),
        ({"type": "array", "items": {"$ref": "#/Day"}, "maxItems": 5}, "list of: Day, at most 5"),
        ({"description": "x", "allOf": [{"$ref": "#/components/schemas/Client"}]}, "Client"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object: name → text"),
        ({"type": "object", "additionalProperties": True}, "object"),
    ],
)  # fmt: skip
def test_types_are_written_in_words(schema: dict[str, Any], words: str) -> None:
    shown = Page(as_page(element("p", *type_words(schema, "t"))))
    assert "".join(shown.sections[""]).split("\n", 1)[1].strip() == words


def test_a_model_s_name_leads_to_its_table() -> None:
    (link,) = type_words({"$ref": "#/components/schemas/Client"}, "account.changed.v1")
    assert not isinstance(link, str)
    assert link.get("href") == "#account.changed.v1.Client"
