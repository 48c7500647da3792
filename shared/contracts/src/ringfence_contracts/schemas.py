"""A topic's payload as a JSON Schema, and the golden file in which it was agreed."""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ringfence_contracts.topics import Topic

JsonObject = dict[str, Any]
"""A JSON object as plain values."""

Schema = JsonObject
"""A JSON Schema."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class UntitledSchema(GenerateJsonSchema):
    """Pydantic's schemas without a title for each field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def schema_of(topic: Topic) -> Schema:
    """What a record of `topic` holds; `x-key` says what its key is made of.

    The same for writing and reading: what a writer may write is what a reader takes.
    """
    body = topic.data.model_json_schema(schema_generator=UntitledSchema)
    return {"$schema": DIALECT, **body, "title": topic.name, "x-key": topic.keyed_by}


def as_text(schema: Schema) -> str:
    """A schema as its golden file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def golden_file(folder: Path, topic: Topic) -> Path:
    """Where the golden schema of `topic` stands."""
    return folder / f"{topic.name}.json"


def read_golden(folder: Path, topic: Topic) -> Schema | None:
    """The golden schema of `topic`, or None where none was written yet."""
    path = golden_file(folder, topic)
    if not path.is_file():
        return None
    schema: Schema = json.loads(path.read_text(encoding="utf-8"))
    return schema
