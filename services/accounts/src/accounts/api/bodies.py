"""Request bodies as they are typed. The pure modules check their texts further."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails

from accounts.products.fields import field_problems
from accounts.typed.instants import in_utc
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import HangUp, YesNoNone
from ringfence_contracts.events.model import Currency, Id, Text


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("text without NUL characters")
    return text


def _yes_no(value: Any) -> Any:
    words = {"yes": True, "no": False, "": False}
    if isinstance(value, str):
        if value.strip().lower() not in words:
            raise ValueError("yes or no")
        return words[value.strip().lower()]
    return value


def _yes_no_none(value: Any) -> Any:
    return value.strip().capitalize() if isinstance(value, str) else value


def number_text(value: Any) -> Any:
    """A whole JSON number as text. A fraction is refused later: JSON parsers round it."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


InstantText = Annotated[AwareDatetime, AfterValidator(in_utc)]
"""An instant with its offset; kept in UTC."""

FieldText = Annotated[str, Field(max_length=10_000), AfterValidator(_no_nul)]
YesNo = Annotated[bool, BeforeValidator(_yes_no)]
Choice = Annotated[YesNoNone, BeforeValidator(_yes_no_none)]
NumberText = Annotated[str, BeforeValidator(number_text), Field(max_length=40)]


class Body(BaseModel):
    """A request body. An unknown field is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def with_problems(
    found: ValidationError | None, problems: Sequence[BadInput], title: str
) -> ValidationError | None:
    """The errors of pydantic and `problems` of other fields as one error; None if there is none."""
    known = found.errors(include_url=False) if found else []
    lines = [
        InitErrorDetails(
            type=each["type"], loc=each["loc"], input=each["input"], ctx=each.get("ctx", {})
        )
        for each in known
    ]
    named = {str(part) for each in known for part in each["loc"]}
    for error in problems:
        name = getattr(error, "name", error.field)
        if name not in named:
            lines.append(
                InitErrorDetails(
                    type="value_error", loc=(name,), input=error.value, ctx={"error": error}
                )
            )
    return ValidationError.from_exception_data(title, lines) if lines else None


class PaymentBody(Body):
    """A payment; the amount is decimal text."""

    amount: Annotated[str, Field(max_length=40)]
    currency: Currency | None = Field(None, description="left out: the account's")
    reference: Text = ""
    kind: Literal["top-up", "adjustment", "refund"] = "top-up"
    payment: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="the payment that is refunded, by its id or its key"
    )


class ClaimBody(Body):
    """A payment as it is on the topic."""

    payment_id: UUID
    account_id: Id
    kind: Literal["top-up", "adjustment"]
    amount: NumberText
    currency: Currency
    reference: Text = ""
    received_at: InstantText
    refunds: UUID | None = None


class ClaimsBody(Body):
    """Payments that accounts lost, and the reason to enter them again."""

    reason: Text
    payments: Annotated[list[ClaimBody], Field(min_length=1, max_length=500)]


class _ProductBody(Body):
    kind_name: ClassVar[str] = ""

    server_id: Id
    name: Text = ""
    prepaid: YesNo = True
    package: Id | None = Field(None, description="the id of its package")
    bill_from: InstantText | None = Field(
        None, description="calls that ended before are not billed; left out: its creation"
    )

    hang_up: HangUp | None = Field(
        None,
        description="credit: calls in progress are ended when the credit is used up; left out: as "
        "it is, and for a new prepaid product credit, unless its client was imported",
    )

    def fields(self) -> dict[str, str]:
        """The fields that only this kind of product has."""
        return {name: str(value) for name, value in self if name in self._own_fields()}

    @classmethod
    def _own_fields(cls) -> set[str]:
        return set(cls.model_fields) - {*_ProductBody.model_fields, "kind"}

    @classmethod
    def _typed_fields(cls, value: Any) -> dict[str, str]:
        """The texts of these fields in a body that is refused; a blank where one is no text."""
        given = value if isinstance(value, dict) else {}
        texts = {name: number_text(given.get(name, "")) for name in cls._own_fields()}
        return {name: text for name, text in texts.items() if isinstance(text, str)}

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse malformed product fields together with what pydantic refuses."""
        body, refused = None, None
        try:
            body = handler(value)
            fields = body.fields()
        except ValidationError as error:
            refused = error
            fields = cls._typed_fields(value)
        problems = field_problems(cls.kind_name, fields)
        refusal = with_problems(refused, problems, cls.__name__)
        if refusal is not None:
            raise refusal
        assert body is not None, "it is refused otherwise"
        return body


class FusionPbxBody(_ProductBody):
    """A FusionPBX product."""

    kind_name: ClassVar[str] = "fusionpbx"

    kind: Literal["fusionpbx"]
    domain_tenant_and_main_dids: FieldText = Field(
        "", examples=["mcon.wat5.ictvoip.ca | 5192229000"]
    )
    extensions: FieldText = Field(
        "",
        description="*: the rest of the tenant, all that no other product lists",
        examples=["2112 | 2113 | 2114 | 2115 | 2216", "2112 | *"],
    )
    suspend_by: FieldText = Field(
        "extensions",
        description="extensions, outbound (inbound and emergency calls work), gateway or domain",
    )
    gateway_ids: FieldText = ""


class VodiaBody(_ProductBody):
    """A Vodia product."""

    kind_name: ClassVar[str] = "vodia"

    kind: Literal["vodia"]
    tenant_and_inbound_dids: FieldText = Field(
        "", examples=["cffm.wat1.ictvoip.ca | 5484815577 | 5197830020 | 8300"]
    )
    did_or_extension: FieldText = Field("", examples=["8300"])
    ext_profile_first_name: FieldText = Field("", examples=["CFFM Kitchener"])
    inbound_search_string: FieldText = Field("", examples=["cffm, 8300, Kitchener"])
    suspend_by: FieldText = "extensions"
    trunk_ids: FieldText = Field("", examples=["3 | 7"])


class LesnetBody(_ProductBody):
    """A Les.net product."""

    kind_name: ClassVar[str] = "lesnet"

    kind: Literal["lesnet"]
    domain: FieldText = Field("", examples=["D4E3CD2BFC791 | 12046664021"])
    username: FieldText = Field("", examples=["12046664021"])
    peer_id: FieldText = Field("", examples=["D4E3CD2BFC791"])
    dids_attached_to_peer: FieldText = Field("", examples=["12046664021"])
    cdr_link: FieldText = Field("", examples=["https://portal.les.net/cdr/11330_0000.txt"])
    free_minutes: Annotated[FieldText, BeforeValidator(number_text)] = "0"
    rate_per_minute: FieldText = Field("", examples=[".03"])


ProductBody = Annotated[FusionPbxBody | VodiaBody | LesnetBody, Field(discriminator="kind")]
