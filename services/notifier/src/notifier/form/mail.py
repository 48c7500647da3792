"""A mail to a client: what it is made of, and what goes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from notifier.merge_fields import Account, Funds


@dataclass(frozen=True)
class MailFacts:
    """What a mail to a client is about, as it is true when the mail is sent.

    `template` is the template's name. `occurred_at` is the instant of the crossing.
    `service_is_off` is false for a zero mail of a service that the PBX did not switch off yet: the
    words then do not say that it is off.
    """

    template: str
    account: Account
    funds: Funds
    occurred_at: datetime
    service_is_off: bool = True


@dataclass(frozen=True)
class RenderedMail:
    """A mail, ready for the envelope: the plain part says what the HTML part says.

    `headers` come beside those that the sender writes itself (From, To, Subject, Date,
    Message-ID): Reply-To, List-Unsubscribe and List-Unsubscribe-Post, where they apply.
    `cc` are addresses that get a copy.
    """

    subject: str
    text: str
    html: str
    from_name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cc: tuple[str, ...] = ()
