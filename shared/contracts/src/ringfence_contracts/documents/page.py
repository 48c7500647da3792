"""The AsyncAPI document as an HTML page: one file that loads no other."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from ringfence_contracts.documents.asyncapi import dead_letters, document
from ringfence_contracts.documents.field_words import unit
from ringfence_contracts.documents.html_tree import Part, as_page, element, separated, with_code
from ringfence_contracts.documents.type_words import model_named, type_words
from ringfence_contracts.examples import Example, examples_of
from ringfence_contracts.schemas import SchemaNode, paragraphs, summary
from ringfence_contracts.topics import ALL_TOPICS, PARTITIONS, Topic, retention

_STYLE = Path(__file__).parent / "page.css"
_BEFORE = (
    ("delivery", "Delivered at least once"),
    ("values", "Values"),
    ("headers", "Headers"),
)
_AFTER = (("dead-letters", "Dead letters"),)
_VALUES = (
    "A record's value is one JSON object in UTF-8. A reader ignores fields that it does not know.",
    "Amounts are whole numbers of micro-units: 1,000,000 are one unit of the currency. Times are"
    " instants in ISO 8601 with their zone.",
    "The key decides the partition, and with it the order. A record without a value removes its"
    " key from a compacted topic.",
)
_DELIVERY = (
    "A record may be delivered twice: after a crash, a rebalance or a replay. Store `ce_id`"
    " and process each once; where a payload has `version`, `balance_version` or `crossing`,"
    " drop what is older than what you know.",
    "Any Kafka client reads these topics, compressed by snappy; no step relies on transactions.",
)


def page() -> str:
    """The whole page."""
    api = document()
    schemas: SchemaNode = api["components"]["schemas"]
    body = element(
        "body",
        element("a", "To the topics", href="#topics", class_="skip"),
        _contents(),
        element(
            "main",
            _head(api),
            *_before(schemas),
            element("div", *(_topic(topic, schemas) for topic in ALL_TOPICS), id="topics"),
            _dead_letters(schemas),
        ),
    )
    return as_page(element("html", _html_head(api), body, lang="en"))


def _html_head(api: SchemaNode) -> Element:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"Topics of {api['info']['title']}"),
        element("style", _STYLE.read_text(encoding="utf-8")),
    )


def _contents() -> Element:
    return element(
        "nav",
        element("p", "Contents", class_="label"),
        element("ul", *(_entry(anchor, title) for anchor, title in _BEFORE)),
        element("p", "Topics", class_="label"),
        element("ul", *(_entry(t.name, t.name) for t in ALL_TOPICS), class_="topics"),
        element("ul", *(_entry(anchor, title) for anchor, title in _AFTER)),
        aria_label="Contents",
    )


def _entry(anchor: str, title: str) -> Element:
    return element("li", element("a", title, href=f"#{anchor}"))


def _head(api: SchemaNode) -> Element:
    info = api["info"]
    return element(
        "header",
        element("h1", f"Topics of {info['title']}"),
        element("p", info["description"], class_="lead"),
        element(
            "p",
            "The same for programs: ",
            element("a", "asyncapi.yaml", href="asyncapi.yaml"),
            f", AsyncAPI {api['asyncapi']}. How contracts change, and how to replay: ",
            element("a", "topics.md", href="topics.md"),
            ". How to read along: ",
            element("a", "dashboards.md", href="dashboards.md"),
            ".",
        ),
    )


def _before(schemas: SchemaNode) -> Iterator[Element]:
    texts = {"delivery": _DELIVERY, "values": _VALUES, "headers": ()}
    for anchor, title in _BEFORE:
        words = [element("p", *with_code(text)) for text in texts[anchor]]
        if anchor == "headers":
            words = [
                element("p", schemas["CloudEventHeaders"]["description"]),
                _fields(schemas["CloudEventHeaders"], anchor),
            ]
        yield element("section", _heading(anchor, title), *words)


def _heading(anchor: str, title: str) -> Element:
    link = element("a", title, href=f"#{anchor}")
    return element("h2", link, id=anchor)


def _topic(topic: Topic, schemas: SchemaNode) -> Element:
    name = topic.data.__name__
    return element(
        "section",
        _heading(topic.name, topic.name),
        *_purpose(topic),
        _facts(topic),
        element("h3", "Fields"),
        _fields(schemas[name], topic.name),
        *_parts(topic, schemas, name),
        *_examples(topic),
        class_="topic",
    )


def _purpose(topic: Topic) -> Iterator[Element]:
    yield element("p", *with_code(f"{summary(topic)}."), class_="lead")
    for text in paragraphs(topic.data)[1:]:
        yield element("p", *with_code(text))


def _facts(topic: Topic) -> Element:
    readers = ", ".join(topic.readers) or "none of our services; for third parties"
    rejects = [topic.dead_letters(reader) for reader in topic.readers]
    facts: list[tuple[str, list[Part]]] = [
        ("Written by", [topic.writer]),
        ("Read by", [readers]),
        ("Key", [element("code", topic.keyed_by)]),
        ("Partitions", [str(PARTITIONS)]),
        ("Kept", [retention(topic.name)]),
    ]
    if rejects:
        links = separated(element("a", name, href=f"#{name}") for name in rejects)
        facts.append(("Dead letters", links))
    parts = [
        element("div", element("dt", term), element("dd", *value), class_=_class(term))
        for term, value in facts
    ]
    return element("dl", *parts, class_="facts")


def _class(term: str) -> str:
    return "wide" if term == "Dead letters" else "fact"


def _fields(schema: SchemaNode, prefix: str) -> Element:
    head = ("Field", "Type", "Unit", "Where absent", "Meaning")
    required = schema.get("required", [])
    rows = [
        _row(name, node, prefix, is_required=name in required)
        for name, node in schema["properties"].items()
    ]
    has_units = any(unit(name) for name in schema["properties"])
    return element(
        "table",
        element("thead", element("tr", *(element("th", each, scope="col") for each in head))),
        element("tbody", *rows),
        class_="fields" if has_units else "fields unitless",
    )


def _row(name: str, node: SchemaNode, prefix: str, *, is_required: bool) -> Element:
    absent = ["required"] if is_required else _default(node)
    return element(
        "tr",
        element("th", element("code", name), scope="row"),
        element("td", *type_words(node, prefix), class_="type"),
        element("td", unit(name) or "", class_="unit"),
        element("td", *absent, class_="always" if is_required else "absent"),
        element("td", *with_code(node.get("description", "")), class_="meaning"),
    )


def _default(node: SchemaNode) -> list[Part]:
    if "default" not in node:
        return ["empty"] if node.get("type") == "object" else ["no value"]
    return ["as ", element("code", json.dumps(node["default"]))]


def _parts(topic: Topic, schemas: SchemaNode, model: str) -> Iterator[Element]:
    """The models within a payload, each with its own table."""
    for name in dict.fromkeys(_inner(schemas, model)):
        yield element("h3", name, id=f"{topic.name}.{name}")
        for text in schemas[name]["description"].split("\n\n"):
            yield element("p", *with_code(" ".join(text.split())))
        yield _fields(schemas[name], topic.name)


def _inner(schemas: SchemaNode, model: str) -> Iterator[str]:
    for node in schemas[model]["properties"].values():
        if name := model_named(node):
            yield name
            yield from _inner(schemas, name)


def _examples(topic: Topic) -> Iterator[Element]:
    *others, shown = examples_of(topic)
    yield element("h3", "Example")
    yield from _record(shown)
    for example in others:
        title = example.name.replace("-", " ")
        yield element("details", element("summary", f"Another: {title}"), *_record(example))


def _record(example: Example) -> Iterator[Element]:
    record = example.record()
    headers = [f"{name}: {raw.decode()}" for name, raw in sorted(record.headers())]
    value = json.dumps(example.document, indent=2, ensure_ascii=False)
    yield element("p", "key ", element("code", record.key), class_="key")
    yield element("pre", element("code", value), tabindex="0")
    yield element(
        "details",
        element("summary", "Its headers"),
        element("pre", element("code", "\n".join(headers)), tabindex="0"),
        class_="headers",
    )


def _dead_letters(schemas: SchemaNode) -> Element:
    headers = schemas["DeadLetterHeaders"]
    rows = [
        element(
            "tr",
            element("th", element("code", name), scope="row", id=name),
            element("td", writer),
            element("td", *_source(source)),
            element("td", retention(name)),
        )
        for name, (source, writer) in dead_letters().items()
    ]
    return element(
        "section",
        _heading("dead-letters", "Dead letters"),
        element(
            "p", "A record that can never be processed goes here: its key, its bytes, its headers."
        ),
        _table(("Topic", "Written by", "Rejects of", "Kept"), rows),
        element("h3", "Headers"),
        element("p", headers["description"]),
        _fields(headers, "dead-letters"),
    )


def _source(source: str) -> list[Part]:
    return [source] if " " in source else [element("a", source, href=f"#{source}")]


def _table(head: Iterable[str], rows: Iterable[Element]) -> Element:
    titles = (element("th", each, scope="col") for each in head)
    return element(
        "table",
        element("thead", element("tr", *titles)),
        element("tbody", *rows),
        class_="rows",
    )
