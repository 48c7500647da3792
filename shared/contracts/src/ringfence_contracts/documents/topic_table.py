"""The generated part of docs/topics.md: a table of the topics and one of the dead letters."""

from collections.abc import Sequence

from ringfence_contracts.documents.asyncapi import dead_letters
from ringfence_contracts.errors import RingfenceError
from ringfence_contracts.schemas import summary
from ringfence_contracts.topics import ALL_TOPICS, retention

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


class MarkersMissing(RingfenceError):
    """The page lacks the markers around its generated part."""


def with_generated_tables(page: str) -> str:
    """The page with its generated part replaced; the rest is unchanged."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise MarkersMissing(f"docs/topics.md: the lines {BEGIN} and {END} are missing")
    return f"{head}{BEGIN}\n{_topics()}\n\n{_dead_letters()}\n{END}{tail}"


def _topics() -> str:
    rows = [
        (
            f"`{topic.name}`",
            f"`{topic.keyed_by}`",
            topic.writer,
            ", ".join(topic.readers) or "third parties",
            summary(topic),
            retention(topic.name),
        )
        for topic in ALL_TOPICS
    ]
    return _table(("topic", "key", "writer", "readers", "what it says", "kept"), rows)


def _dead_letters() -> str:
    rows = [
        (f"`{name}`", writer, source if " " in source else f"`{source}`", retention(name))
        for name, (source, writer) in dead_letters().items()
    ]
    return _table(("dead letters", "writer", "of", "kept"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
