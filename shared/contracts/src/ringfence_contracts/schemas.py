"""A topic's payload in words and as a JSON Schema, and the golden file of the agreed schema."""

import json
import re
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ringfence_contracts.events.model import EventData
from ringfence_contracts.topics import Topic

SchemaNode = dict[str, Any]
"""A JSON object as plain values."""

Schema = SchemaNode
"""A JSON Schema."""

_NAMED = re.compile(r"^`[^`]+`: ")
"""The topic's name, with which its model's docstring begins."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class UntitledSchema(GenerateJsonSchema):
    """Pydantic's schemas without field titles, which only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schema_of(topic: Topic) -> Schema:
    """The JSON Schema of a record of `topic`; `x-key` names the fields of its key.

    It is the same for writers and readers.
    """
    body = topic.data.model_json_schema(schema_generator=UntitledSchema)
    return {"$schema": DIALECT, **body, "title": topic.name, "x-key": topic.keyed_by}


def summary(topic: Topic) -> str:
    """What a record of `topic` means: the first paragraph of its model's docstring."""
    says = _NAMED.sub("", paragraphs(topic.data)[0]).removesuffix(".")
    return says[:1].upper() + says[1:]


def paragraphs(model: type[EventData]) -> list[str]:
    """The paragraphs of a model's docstring, each on one line."""
    return [" ".join(text.split()) for text in (model.__doc__ or "").split("\n\n")]


def as_text(schema: Schema) -> str:
    """The text of a schema in its golden file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def golden_file(folder: Path, topic: Topic) -> Path:
    """The path of the golden schema of `topic`."""
    return folder / f"{topic.name}.json"


def read_golden(folder: Path, topic: Topic) -> Schema | None:
    """The golden schema of `topic`; None if it is not written yet."""
    path = golden_file(folder, topic)
    if not path.is_file():
        return None
    schema: Schema = json.loads(path.read_text(encoding="utf-8"))
    return schema
