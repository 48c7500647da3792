"""Reads the record in an XML document that mod_xml_cdr posts: pure.

The document comes from the network. So a document type, and with it every declared entity, is
refused, nothing is fetched, and the depth and number of elements are limited.
"""

from typing import NoReturn
from xml.parsers import expat

from cdr_ingest.freeswitch.body import still_encoded
from cdr_ingest.freeswitch.record import Cdr
from ringfence_contracts.errors import BadInput

MAX_DEPTH = 32
MAX_ELEMENTS = 20_000
_VARIABLES = ["cdr", "variables"]
_PROFILE = ["cdr", "callflow", "caller_profile"]


def read_xml(text: str) -> Cdr:
    """The record in an XML document. Raises BadInput."""
    reading = _Reading()
    try:
        reading.parse(text.encode("utf-8", "replace"))
    except expat.ExpatError as error:
        expected = f"an XML document ({error})"
        raise BadInput("body", f"{len(text)} characters", expected) from None
    if not reading.variables:
        raise BadInput("variables", "nothing", "the variables of a call")
    if not reading.profile:
        raise BadInput("callflow", "nothing", "a caller_profile")
    return Cdr(
        variables=reading.variables,
        profile=reading.profile,
        has_originator=reading.has_originator,
        encoded=still_encoded(reading.variables.values()),
        repeated=frozenset(reading.repeated),
    )


class _Reading:
    """The state of parsing one document."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.profile: dict[str, str] = {}
        self.repeated: set[str] = set()
        self.has_originator = False
        self._path: list[str] = []
        self._texts: list[str] = []
        self._elements = 0
        self._call_flows = 0

    def parse(self, document: bytes) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.ExternalEntityRefHandler = _refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(document, True)

    def _start(self, name: str, _: dict[str, str]) -> None:
        self._elements += 1
        self._path.append(name)
        self._texts = []
        if self._elements > MAX_ELEMENTS or len(self._path) > MAX_DEPTH:
            expected = f"at most {MAX_ELEMENTS} elements, at most {MAX_DEPTH} deep"
            raise BadInput("body", f"element {self._elements}, {len(self._path)} deep", expected)
        if self._path[0] != "cdr":
            raise BadInput("body", f"the element {name[:40]}", "the element cdr")
        if len(self._path) == 2 and name == "callflow":
            self._call_flows += 1

    def _text(self, text: str) -> None:
        self._texts.append(text)

    def _end(self, name: str) -> None:
        self._path.pop()
        if self._path == _VARIABLES:
            if name in self.variables:
                self.repeated.add(name)
            self.variables[name] = "".join(self._texts)
        elif self._path == _PROFILE and self._call_flows == 1:
            self._profiled(name)
        self._texts = []

    def _profiled(self, name: str) -> None:
        if name == "originator":
            self.has_originator = True
        elif name in self.profile:
            raise BadInput(f"caller_profile.{name}", "more than one value", "one")
        else:
            self.profile[name] = "".join(self._texts)


def _refuse(*_: object) -> NoReturn:
    raise BadInput("body", "a document type or an entity", "XML without either")
