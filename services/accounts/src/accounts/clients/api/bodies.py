"""Bodies of requests about a client, as they are typed."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from accounts.api.bodies import (
    Body,
    Choice,
    InstantText,
    NumberText,
    YesNo,
    number_text,
    with_problems,
)
from accounts.clients.account import ClientSettings, Writer
from accounts.clients.checks import client_problems, read_credit_limit
from ringfence_contracts.errors import BadInput
from ringfence_contracts.events.account import Client, OperatingMode, WrittenBy
from ringfence_contracts.events.model import Currency, Id, Text
from ringfence_contracts.money import parse_micro

READ_ONLY = frozenset(
    {
        "version", "threshold_micro", "outstanding", "outstanding_micro", "outstanding_as_of",
        "balance", "balance_micro", "credit_limit_micro", "level", "held", "state", "would",
        "reason", "since", "brings_back", "suspension_failures", "mode", "leave_off", "orders",
        "what_happens", "warnings", "applied", "imported", "departed",
    }
)  # fmt: skip
"""Fields that only responses have. They are ignored, so that a response can be sent back."""

Threshold = Annotated[Text, BeforeValidator(number_text)]


class _ClientFields(Body):
    whole: ClassVar[bool] = False

    account_id: Id | None = Field(None, description="if given, the one of the path")
    manual_voip_suspend: Choice | None = Field(None, description="left out: stays as it is")
    voip_suspended: Choice | None = Field(
        None, description="left out, or what ringfence wrote itself: stays as it is"
    )
    voip_suspended_by: WrittenBy | None = Field(None, description="as it was read: who wrote it")
    written_by: Writer | None = Field(None, description="person: voip_suspended is an order")
    credit_limit: NumberText | None = Field(None, description="left out: stays as it is")
    opening_balance: NumberText | None = Field(
        None, description="posted once, under the key `opening`; left out for a new client: 0"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_read_only(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: given for name, given in value.items() if name not in READ_ONLY}

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse what the checks of clients refuse together with what pydantic refuses."""
        body, refused = None, None
        try:
            body = handler(value)
        except ValidationError as error:
            refused = error
        values = value if isinstance(value, dict) else {}
        problems = client_problems(values, whole=cls.whole, others=refused is not None)
        refusal = with_problems(refused, problems, cls.__name__)
        if refusal is not None:
            raise refusal
        assert body is not None, "it is refused otherwise"
        return body

    def check_path(self, account_id: str) -> None:
        """Raises BadInput for the body of another client."""
        if self.account_id not in (None, account_id):
            raise BadInput("account_id", self.account_id, f"{account_id}, as the address says")

    def opening_micro(self) -> int | None:
        """The opening balance in micro-units; None if it is left out. Raises BadInput."""
        if self.opening_balance is None:
            return None
        return parse_micro(self.opening_balance, "opening_balance")

    def credit_limit_micro(self) -> int | None:
        """The credit limit in micro-units; None if it is left out. Raises BadInput below 0."""
        if self.credit_limit is None:
            return None
        return read_credit_limit(self.credit_limit)

    def changes(self) -> dict[str, Any]:
        """The given fields, named as in ClientSettings and Client."""
        given = self.model_dump(exclude_none=True, exclude={"account_id", "credit_limit"})
        limit = self.credit_limit_micro()
        return given if limit is None else {**given, "credit_limit_micro": limit}


Language = Annotated[Text, Field(description="of mails, such as fr; blank: the default")]
Copies = Annotated[tuple[Text, ...], Field(max_length=5, description="get each mail too")]
CustomFields = Annotated[
    dict[Text, Text], Field(max_length=100, description="for mail templates, by name")
]


class ClientBody(_ClientFields):
    """A whole client: a field that is left out gets its default, except the two suspension
    fields, the credit limit and the opening balance.
    """

    whole: ClassVar[bool] = True

    first_name: Text
    last_name: Text = ""
    company_name: Text = ""
    email: Text = ""
    wants_mail: YesNo = True
    language: Language = ""
    cc: Copies = ()
    custom_fields: CustomFields = Field(default_factory=dict)
    currency: Currency
    time_zone: Text = "UTC"
    has_voip_service: YesNo = False
    low_balance_threshold: Threshold = ""

    def settings(self) -> ClientSettings:
        """The settings that the pure module takes."""
        changes = self.changes()
        client = Client(**{name: changes[name] for name in Client.model_fields if name in changes})
        rest = {
            name: value for name, value in changes.items() if name in ClientSettings.model_fields
        }
        return ClientSettings(client=client, **rest)


class ClientPatch(_ClientFields):
    """Part of a client: a field that is left out stays unchanged."""

    first_name: Text | None = None
    last_name: Text | None = None
    company_name: Text | None = None
    email: Text | None = None
    wants_mail: YesNo | None = None
    language: Language | None = None
    cc: Copies | None = None
    custom_fields: CustomFields | None = None
    currency: Currency | None = None
    time_zone: Text | None = None
    has_voip_service: YesNo | None = None
    low_balance_threshold: Threshold | None = None


class OutstandingBody(Body):
    """The sum of the client's unpaid invoices, as it was at `as_of`."""

    amount: NumberText
    as_of: InstantText | None = Field(
        None, description="when the invoices were read; left out: a person says so now"
    )
    currency: Currency | None = Field(None, description="if given, the account's")


class OrderBody(Body):
    """An order: for the whole client, or for one product."""

    product: Id | None = None
    reason: Text = ""
    until: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="an instant, or a date: the end of that day in the client's time zone"
    )
    hang_up: YesNo = Field(
        False, description="calls in progress are ended too, never an emergency call"
    )


class UnsuspendBody(Body):
    """The end of a manual order."""

    product: Id | None = None
    reason: Text = ""


class ModeBody(Body):
    """A client's mode. `leave`: going to shadow, what was switched off stays off."""

    mode: OperatingMode
    leave: YesNo = False
    reason: Text = ""
