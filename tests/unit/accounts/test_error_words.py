"""Validation errors of requests have texts of their own, not those of a library."""

import importlib
import pkgutil
import re
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

import accounts
from accounts.api.bodies import ClaimsBody, PaymentBody, ProductBody
from accounts.api.error_words import each_refusal, refusal
from accounts.clients.api.bodies import ClientBody, OrderBody, OutstandingBody
from accounts.jobs.bodies import RowDropBody
from accounts.packages.bodies import PackageBody

LIBRARY = re.compile(r"Input should|should match|valid (string|list)|Value error|Field required")
FINE = {"first_name": "Anna", "currency": "CAD"}
CLAIM = {
    "payment_id": "00000000-0000-0000-0000-000000000001", "account_id": "anna", "kind": "top-up",
    "amount": "5", "currency": "CAD", "received_at": "2026-11-01T10:00:00Z",
}  # fmt: skip


def problems(model: Any, body: object) -> list[Any]:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(model).validate_python(body)
    return refused.value.errors()


@pytest.mark.parametrize(
    ("model", "body", "field", "words"),
    [
        (ClientBody, {**FINE, "currency": "cad"}, "currency", "three capital letters"),
        (ClientBody, {**FINE, "wants_mail": "perhaps"}, "wants_mail", "yes or no"),
        (ClientBody, {**FINE, "wants_mail": [1]}, "wants_mail", "yes or no"),
        (ClientBody, {**FINE, "voip_suspended": "maybe"}, "voip_suspended",
         "'Yes', 'No' or 'None'"),
        (ClientBody, {**FINE, "first_name": 5}, "first_name", "text"),
        (ClientBody, {**FINE, "first_name": "x" * 1001}, "first_name", "at most 1000 characters"),
        (ClientBody, {**FINE, "first_name": "a\x00"}, "first_name", "NUL"),
        (ClientBody, {**FINE, "account_id": "../etc"}, "account_id", "letters, digits"),
        (ClientBody, {**FINE, "password": "hunter2"}, "password", "no such field"),
        (ClientBody, [], "body", "a JSON object"),
        (OutstandingBody, {"amount": "1", "as_of": "2026-11-01T10:00:00"}, "as_of", "offset"),
        (OutstandingBody, {"amount": "1", "as_of": "now"}, "as_of", "offset"),
        (OutstandingBody, {"amount": 1.5}, "amount", "text"),
        (OutstandingBody, {}, "amount", "it is required"),
        (OrderBody, {"product": "a b"}, "product", "letters, digits"),
        (PaymentBody, {"amount": "1", "kind": "gift"}, "kind", "'refund'"),
        (ProductBody, {"server_id": "wat5"}, "body", "one of fusionpbx, vodia or lesnet"),
        (ProductBody, {"kind": "asterisk"}, "body", "one of 'fusionpbx'"),
        (PackageBody, {"tariff_id": "t", "free_minutes": -1}, "free_minutes", "0 or more"),
        (PackageBody, {"tariff_id": "t", "minimum_cost": ".5", "maximum_cost": "0.05"},
         "maximum_cost", "at least the minimum_cost, 0.5"),
        (PackageBody, {"tariff_id": "t", "inbound_rates": ["519x:0.02"]},
         "dids", "or toll-free"),
        (PackageBody, {"tariff_id": "t", "inbound_rates": ["1519:a"]},
         "rate", "a decimal"),
        (PackageBody, {"tariff_id": "t", "inbound_rates": ["1519:1", "1519:2"]},
         "inbound_rates", "more than once: 1519"),
        (PackageBody, {"tariff_id": "t", "free_bundles": ["eu:10:44x"]},
         "prefixes", "1 to 15 digits"),
        (PackageBody, {"tariff_id": "t", "free_bundles": ["eu:0:44"]}, "minutes", "1 or more"),
        (PackageBody, {"tariff_id": "t", "free_bundles": ["eu"]}, "minutes, prefixes", "required"),
        (PackageBody, {"tariff_id": "t", "free_bundles": ["eu:1:44", "eu:1:33"]},
         "free_bundles", "each name once; more than once: eu"),
        (PackageBody, {"tariff_id": "t", "free_bundles": ["eu:1:44", "uk:1:44"]},
         "free_bundles", "in one bundle; more than once: 44"),
        (PackageBody, {"tariff_id": "t", "free_minutes_prefixes": ["44", "33"],
                       "free_minutes_without": ["33"]},
         "free_minutes_without", "in both: 33"),
        (PackageBody, {"tariff_id": "t", "time_bands": ["evening:18:00"]},
         "time_bands", "NAME:DAYS:BEGINS-ENDS:TARIFF:MARKUP, such as evening:mon-fri:18:00-08:00"),
        (PackageBody, {"tariff_id": "t", "time_bands": ["a:mo-fr:18:00-08:00:t"]},
         "days", "days such as mon-fri/sun"),
        (PackageBody, {"tariff_id": "t", "time_bands": ["a:mon:18:00-25:00:t"]},
         "ends", "a time of day, such as 18:30"),
        (PackageBody, {"tariff_id": "t", "time_bands": ["a:mon:18:00-20:00"]},
         "time_bands", "a with a tariff_id or a markup_percent of its own"),
        (PackageBody, {"tariff_id": "t", "time_bands": ["a:mon:1800-2000:t", "a:tue:1800-2000:t"]},
         "time_bands", "each name once; more than once: a"),
        (PackageBody, {"tariff_id": "t", "free_minutes": "x"}, "free_minutes", "a whole number"),
        (PackageBody, {"tariff_id": "t", "country_code": "CA"}, "country_code", "1 to 3 digits"),
        (PackageBody, {"tariff_id": "t", "markup_percent": "NaN"}, "markup_percent", "a decimal"),
        (ClaimsBody, {"reason": "", "payments": []}, "payments", "at least 1 items"),
        (ClaimsBody, {"reason": "", "payments": [CLAIM] * 501}, "payments", "at most 500 items"),
        (ClaimsBody, {"reason": "", "payments": [{**CLAIM, "payment_id": "1"}]}, "payment_id",
         "7b3c"),
    ],
)  # fmt: skip
def test_each_refusal_names_the_field_and_the_expected_value(
    model: Any, body: object, field: str, words: str
) -> None:
    found = refusal(problems(model, body))
    output = f"{found.expected} {found.message or ''}"
    assert found.field == field
    assert words in output
    assert not LIBRARY.search(output)
    assert "hunter2" not in str(found)


def test_missing_fields_are_named_together() -> None:
    found = refusal(problems(ClientBody, {}), str.upper)
    assert found.field == "first_name, currency"
    assert found.message == "FIRST_NAME and CURRENCY are missing: they are required"


def every_pattern(annotation: Any) -> set[str]:
    """The patterns of a type, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return set().union(*(every_pattern(field.annotation) | every_pattern(
            Annotated[(field.annotation, *field.metadata)] if field.metadata else None
        ) for field in annotation.model_fields.values()))  # fmt: skip
    patterns = {
        found
        for item in getattr(annotation, "__metadata__", ())
        for part in (item, *getattr(item, "metadata", ()))
        if isinstance(found := getattr(part, "pattern", None), str)
    }
    if get_origin(annotation) is not None:
        patterns |= set().union(*(every_pattern(part) for part in get_args(annotation)), set())
    return patterns


def test_every_pattern_of_a_request_has_a_text() -> None:
    """Of the models that modules of routes and of bodies have, whatever package they are in."""
    names = [found.name for found in pkgutil.walk_packages(accounts.__path__, "accounts.")]
    models = [
        model
        for name in names
        if name.endswith((".bodies", ".api"))
        for model in vars(importlib.import_module(name)).values()
        if isinstance(model, type) and issubclass(model, BaseModel)
    ]
    patterns = set().union(*(every_pattern(model) for model in models))
    assert len(patterns) > 10
    for pattern in patterns:
        problem = {"type": "string_pattern_mismatch", "loc": ("x",), "ctx": {"pattern": pattern}}
        assert refusal([problem]).expected != "text of another form", pattern


def test_a_list_is_not_called_too_short_for_its_invalid_parts() -> None:
    found = each_refusal(problems(RowDropBody, {"rows": ["nothing"], "reason": "a test"}))
    assert [refused.field for refused in found] == ["rows"]
    found = each_refusal(problems(RowDropBody, {"rows": [], "reason": "a test"}))
    assert [refused.expected for refused in found] == ["at least 1 items"]
