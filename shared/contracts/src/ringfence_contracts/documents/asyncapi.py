"""The AsyncAPI 3 document: channels, messages, and the services that send and receive them.

Generated from `ringfence_contracts.topics`, the models and the published examples.
"""

import re

from ringfence_contracts.documents.field_words import meaning
from ringfence_contracts.examples import examples_of
from ringfence_contracts.schemas import SchemaNode, UntitledSchema, summary
from ringfence_contracts.topics import (
    ALL_TOPICS,
    INGEST_DEAD_LETTERS,
    PARTITIONS,
    Topic,
    topic_configs,
)

_SCHEMAS = "#/components/schemas/{model}"
_DEAD_LETTER = "DeadLetter"
_HEADERS = "CloudEventHeaders"


def document() -> SchemaNode:
    """The whole document, as plain values."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:ringfence",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": _channels(),
        "operations": _operations(),
        "components": {"schemas": _schemas(), "messages": _messages()},
    }


def dead_letters() -> dict[str, tuple[str, str]]:
    """Each dead-letter topic with the topic whose rejects it holds, and its writer."""
    of_readers = {
        topic.dead_letters(reader): (topic.name, reader)
        for topic in ALL_TOPICS
        for reader in topic.readers
    }
    return {INGEST_DEAD_LETTERS: ("source rows", "cdr-ingest"), **of_readers}


def _info() -> SchemaNode:
    return {
        "title": "ringfence",
        "version": "1",
        "description": "Near-real-time prepaid VoIP billing. What happened travels on these topics"
        " and nowhere else. Each has one writer; its records are delivered at least once, and a"
        " record that comes again has the same id. See topics.md beside this file.",
    }


def _servers() -> SchemaNode:
    return {
        "kafka": {
            "host": "{bootstrap}",
            "protocol": "kafka",
            "description": "The brokers that RINGFENCE_KAFKA_BOOTSTRAP names.",
            "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
        }
    }


def _name(topic: str) -> str:
    """The component name of a topic: `call.completed.v1` is `callCompletedV1`."""
    first, *others = re.split(r"[.-]", topic)
    return first + "".join(word.capitalize() for word in others)


def _channels() -> SchemaNode:
    channels = {
        _name(topic.name): _channel(
            topic.name,
            f"{summary(topic)}. Keyed by {topic.keyed_by}.",
            _name(topic.name),
        )
        for topic in ALL_TOPICS
    }
    for name, (source, writer) in dead_letters().items():
        says = f"What {writer} could not take of {source}: the original bytes, and the reason."
        channels[_name(name)] = _channel(name, says, _DEAD_LETTER)
    return channels


def _channel(address: str, description: str, message: str) -> SchemaNode:
    settings: SchemaNode = {"cleanup.policy": ["delete"]}
    for key, value in topic_configs()[address].items():
        settings[key] = [value] if key == "cleanup.policy" else int(value)
    return {
        "address": address,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {
            "kafka": {
                "topic": address,
                "partitions": PARTITIONS,
                "topicConfiguration": settings,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations() -> SchemaNode:
    operations: SchemaNode = {}
    for topic in ALL_TOPICS:
        _operate(operations, topic.writer, "send", topic.name)
        for reader in topic.readers:
            _operate(operations, reader, "receive", topic.name)
    for name, (_, writer) in dead_letters().items():
        _operate(operations, writer, "send", name)
    return dict(sorted(operations.items()))


def _operate(operations: SchemaNode, service: str, action: str, topic: str) -> None:
    title = f"{service} {'publishes' if action == 'send' else 'reads'} {topic}"
    operations[_name(f"{service}.{action}.{topic}")] = {
        "action": action,
        "title": title,
        "channel": {"$ref": f"#/channels/{_name(topic)}"},
        "tags": [{"name": service}],
    }


def _messages() -> SchemaNode:
    messages = {_name(topic.name): _message(topic) for topic in ALL_TOPICS}
    messages[_DEAD_LETTER] = {
        "name": "dead-letter",
        "title": "A record that its consumer rejected",
        "contentType": "application/octet-stream",
        "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
        "payload": {"$ref": "#/components/schemas/OriginalBytes"},
    }
    return messages


def _message(topic: Topic) -> SchemaNode:
    example = examples_of(topic)[-1]
    headers = {name: raw.decode() for name, raw in sorted(example.record().headers())}
    return {
        "name": topic.name,
        "title": topic.data.__name__,
        "summary": summary(topic),
        "contentType": "application/json",
        "correlationId": {
            "description": "The id that all effects of one cause share, from the CDR to the mail.",
            "location": "$message.header#/ce_correlationid",
        },
        "headers": {"$ref": f"#/components/schemas/{_HEADERS}"},
        "payload": {"$ref": f"#/components/schemas/{topic.data.__name__}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"{topic.keyed_by}, as UTF-8"},
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [{"name": example.name, "headers": headers, "payload": example.document}],
    }


def _schemas() -> SchemaNode:
    schemas: SchemaNode = {}
    for topic in ALL_TOPICS:
        schema = topic.data.model_json_schema(
            ref_template=_SCHEMAS, schema_generator=UntitledSchema
        )
        schemas |= schema.pop("$defs", {})
        schemas[topic.data.__name__] = schema
    for model, schema in schemas.items():
        schema["properties"] = {
            name: _described(node, meaning(model, name))
            for name, node in schema["properties"].items()
        }
    schemas[_HEADERS] = _cloud_event_headers()
    schemas["DeadLetterHeaders"] = _dead_letter_headers()
    schemas["OriginalBytes"] = {
        "type": "string",
        "format": "binary",
        "description": "The rejected record's value, byte for byte. It may be no JSON at all.",
    }
    return dict(sorted(schemas.items()))


def _described(node: SchemaNode, words: str | None) -> SchemaNode:
    """A field's schema with its meaning; in `allOf`, since keywords beside a `$ref` are ignored."""
    if words is None:
        return node
    return {"description": words, **({"allOf": [node]} if "$ref" in node else node)}


def _cloud_event_headers() -> SchemaNode:
    texts = {
        "ce_specversion": "the version of CloudEvents",
        "ce_id": "the event's id, derived from its cause: the same each time it is published",
        "ce_type": "the topic's name",
        "ce_source": "the service that wrote it: /ringfence/<service>",
        "ce_time": "when it happened",
        "ce_subject": "what it is about",
        "content-type": "of the value",
        "ce_correlationid": "the id of the first cause; absent where ce_id is the first",
    }
    shapes: SchemaNode = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"format": "uuid"},
        "ce_type": {"enum": [topic.name for topic in ALL_TOPICS]},
        "ce_time": {"format": "date-time"},
        "content-type": {"const": "application/json"},
    }
    return {
        "type": "object",
        "description": "CloudEvents 1.0 attributes in Kafka's binary mode, as UTF-8.",
        "required": [name for name in texts if name != "ce_correlationid"],
        "properties": {
            name: {"type": "string", "description": text, **shapes.get(name, {})}
            for name, text in texts.items()
        },
    }


def _dead_letter_headers() -> SchemaNode:
    texts = {
        "dlq_reason": "why the record can never be processed",
        "dlq_topic": "the topic that it was on; absent for a row of a source",
        "dlq_partition": "its partition, as decimal text",
        "dlq_offset": "its offset, as decimal text",
    }
    return {
        "type": "object",
        "description": "The rejected record's own headers, and these.",
        "required": ["dlq_reason"],
        "properties": {
            name: {"type": "string", "description": text} for name, text in texts.items()
        },
    }
