"""The type of a field in words, from its JSON Schema."""

from collections.abc import Iterator

from ringfence_contracts.documents.html_tree import Part, element, separated
from ringfence_contracts.schemas import SchemaNode
from ringfence_contracts.topics import BY_NAME

_FORMATS = {"uuid": "UUID", "date-time": "instant, ISO 8601 with zone", "binary": "bytes"}
_PATTERNS = {"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, . _ -"}
_LIMITS = {2**31 - 1: "2³¹ − 1", 2**53 - 1: "2⁵³ − 1"}
_MICRO = 10**17


def model_named(node: SchemaNode) -> str | None:
    """The model to which a schema refers, directly or by its items; None for plain values."""
    if reference := node.get("$ref"):
        return str(reference).rsplit("/", 1)[-1]
    inner = [*node.get("anyOf", []), *node.get("allOf", [])]
    if isinstance(node.get("items"), dict):
        inner.append(node["items"])
    return next((name for each in inner if (name := model_named(each))), None)


def type_words(node: SchemaNode, prefix: str) -> list[Part]:
    """The type of a field; another model is a link to an anchor that begins with `prefix`."""
    if "allOf" in node:
        return type_words(node["allOf"][0], prefix)
    if "anyOf" in node:
        others = [each for each in node["anyOf"] if each.get("type") != "null"]
        words = [part for each in others for part in type_words(each, prefix)]
        return [*words, " or ", element("code", "null")] if len(others) == 1 else words
    if name := node.get("$ref"):
        model = str(name).rsplit("/", 1)[-1]
        return [element("a", model, href=f"#{prefix}.{model}")]
    if "const" in node:
        return ["always ", element("code", node["const"])]
    if node.get("enum") == list(BY_NAME):
        return ["the name of a topic"]
    if "enum" in node:
        return separated((element("code", value or '""') for value in node["enum"]), " · ")
    return _plain(node, prefix)


def _plain(node: SchemaNode, prefix: str) -> list[Part]:
    kind = node.get("type")
    if kind == "array":
        return ["list of: ", *type_words(node["items"], prefix), *_at_most(node, "maxItems")]
    if kind == "object":
        values = node.get("additionalProperties")
        return ["object: name → text"] if isinstance(values, dict) else ["object"]
    if kind == "boolean":
        return ["true or false"]
    if kind == "integer":
        return [f"whole number, {_bounds(node['minimum'], node['maximum'])}"]
    return _text(node)


def _bounds(least: int, most: int) -> str:
    if (least, most) == (-_MICRO, _MICRO):
        return "±10¹⁷"
    return f"{least:,} to {_LIMITS.get(most, f'{most:,}')}".replace("-", "−")


def _text(node: SchemaNode) -> list[Part]:
    if node.get("format") in _FORMATS:
        return [_FORMATS[node["format"]]]
    pattern = node.get("pattern")
    if known := _PATTERNS.get(pattern or ""):
        return [f"text of {known}", *_at_most(node, "maxLength")]
    words: list[Part] = ["text", *_at_most(node, "maxLength")]
    return [*words, ", ", element("code", pattern)] if pattern else words


def _at_most(node: SchemaNode, limit: str) -> Iterator[str]:
    if limit in node:
        yield f", at most {node[limit]:,}"
