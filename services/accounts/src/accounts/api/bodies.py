"""What requests carry, as it is typed: texts, checked further by the pure modules."""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from accounts.account import Settings, Writer
from accounts.decimal_text import canonical_decimal
from accounts.packages import canonical_increment
from ringfence.errors import BadInput
from ringfence.events.account import Client, Package, YesNoNone
from ringfence.events.model import Currency, Id, Text

T = TypeVar("T")
_FILTER = re.compile(r"[0-9*#x]{1,32}|\[(?=[^\[\]]*[^\s\[\]])[^\[\]]{1,64}\]")


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


def _number_text(value: Any) -> Any:
    """Whole JSON numbers are fine as text; fractions are not, for JSON readers round them."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


FieldText = Annotated[str, Field(max_length=10_000), AfterValidator(_no_nul)]
YesNo = Annotated[bool, BeforeValidator(_yes_no)]
Choice = Annotated[YesNoNone, BeforeValidator(_yes_no_none)]
NumberText = Annotated[str, BeforeValidator(_number_text), Field(max_length=40)]


class Body(BaseModel):
    """A request body: a field that is not known is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClientBody(Body):
    """A client, whole: what is left out becomes its default, save the two suspension fields."""

    first_name: Text
    last_name: Text = ""
    company_name: Text = ""
    email: Text = ""
    wants_mail: YesNo = True
    currency: Currency
    time_zone: Text = "UTC"
    has_voip_service: YesNo = False
    low_balance_threshold: Annotated[Text, BeforeValidator(_number_text)] = ""
    manual_voip_suspend: Choice | None = Field(None, description="left out: stays as it is")
    voip_suspended: Choice | None = Field(None, description="left out: stays as it is")
    written_by: Writer | None = Field(
        None, description="who wrote voip_suspended; left out: person, if it differs"
    )

    def settings(self) -> Settings:
        """As the pure module takes it."""
        client = Client(
            first_name=self.first_name,
            last_name=self.last_name,
            company_name=self.company_name,
            email=self.email,
            wants_mail=self.wants_mail,
        )
        return Settings(client=client, **self.model_dump(include=set(Settings.model_fields)))


class OutstandingBody(Body):
    """The sum of the client's unpaid invoices."""

    amount: NumberText


class PaymentBody(Body):
    """Money that came in, as decimal text."""

    amount: Annotated[str, Field(max_length=40)]
    currency: Currency | None = Field(None, description="left out: the account's")
    reference: Text = ""
    kind: Literal["top-up", "adjustment"] = "top-up"


class _ProductBody(Body):
    server_id: Id
    name: Text = ""
    prepaid: YesNo = True
    package: Id | None = Field(None, description="the id of its package")

    def fields(self) -> dict[str, str]:
        """The fields that belong to the product's kind alone."""
        shared = {*_ProductBody.model_fields, "kind"}
        return {name: str(value) for name, value in self if name not in shared}


class FusionPbxBody(_ProductBody):
    """A FusionPBX product."""

    kind: Literal["fusionpbx"]
    domain_tenant_and_main_dids: FieldText = Field(
        "", examples=["mcon.wat5.ictvoip.ca | 5192229000"]
    )
    extensions: FieldText = Field("", examples=["2112 | 2113 | 2114 | 2115 | 2216"])
    suspend_by: FieldText = "extensions"
    gateway_ids: FieldText = ""


class VodiaBody(_ProductBody):
    """A Vodia product."""

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

    kind: Literal["lesnet"]
    domain: FieldText = Field("", examples=["D4E3CD2BFC791 | 12046664021"])
    username: FieldText = Field("", examples=["12046664021"])
    peer_id: FieldText = Field("", examples=["D4E3CD2BFC791"])
    dids_attached_to_peer: FieldText = Field("", examples=["12046664021"])
    cdr_link: FieldText = Field("", examples=["https://portal.les.net/cdr/11330_0000.txt"])
    free_minutes: Annotated[FieldText, BeforeValidator(_number_text)] = "0"
    rate_per_minute: FieldText = Field("", examples=[".03"])


ProductBody = Annotated[FusionPbxBody | VodiaBody | LesnetBody, Field(discriminator="kind")]


def _rate(text: str) -> str:
    canonical = canonical_decimal(text)
    if canonical is None:
        raise ValueError("a decimal such as 0.0125, .03 or 120")
    return canonical


def _increment(text: str) -> str:
    try:
        return canonical_increment("increment", text)
    except BadInput as error:
        raise ValueError(error.expected) from None


def _filter_pattern(text: str) -> str:
    wanted = text.strip().lower()
    if not _FILTER.fullmatch(wanted):
        raise ValueError(
            "digits, *, # and x such as 1800xxxxxxx, or a word in brackets such as [inbound]"
        )
    return wanted


FilterPattern = Annotated[FieldText, AfterValidator(_filter_pattern)]
Rate = Annotated[NumberText, AfterValidator(_rate)]
Increment = Annotated[NumberText, AfterValidator(_increment)]


class PackageBody(Package):
    """A package: the contract's fields, in the forms that people type."""

    model_config = ConfigDict(extra="forbid")

    nanpa_10_digit: YesNo = True
    inbound_enabled: YesNo = False
    markup_percent: Rate = "100"
    custom_outbound_rate: Rate | None = None
    custom_outbound_increment: Increment = "60/60"
    custom_inbound_rate: Rate | None = None
    custom_inbound_increment: Increment = "60/60"
    connection_fee: Rate = "0"
    hide: tuple[FilterPattern, ...] = ()
    not_billed: tuple[FilterPattern, ...] = ()

    def package(self) -> Package:
        """As it is published."""
        return Package.model_validate(self.model_dump())
