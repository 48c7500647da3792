"""A topic's payload as a JSON Schema, and the golden file that holds the agreed one."""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ringfence_contracts.topics import Topic

SchemaNode = dict[str, Any]
"""A JSON object as plain values."""

Schema = SchemaNode
"""A JSON Schema."""

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
