"""The mail as a MIME message: headers, a plain part and an HTML part."""

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as PLAIN_HEADERS
from email.policy import SMTPUTF8 as UTF8_HEADERS
from uuid import UUID

from notifier.form.mail import RenderedMail


@dataclass(frozen=True)
class Sender:
    """The sender of all mails: address and display name."""

    address: str
    name: str = ""


@dataclass(frozen=True)
class Mail:
    """A mail with its recipient. Copies go to the addresses in `content.cc`."""

    message_id: UUID
    recipient: str
    content: RenderedMail
    written_at: datetime

    @property
    def recipients(self) -> tuple[str, ...]:
        """The recipient, then the addresses that get a copy."""
        return (self.recipient, *self.content.cc)


def compose(mail: Mail, sender: Sender) -> bytes:
    """The mail's bytes. The Message-ID is made from the mail's id: the same at each attempt."""
    content, needs_utf8 = mail.content, any(on_the_wire(to)[1] for to in mail.recipients)
    message = EmailMessage(UTF8_HEADERS if needs_utf8 else PLAIN_HEADERS)
    domain = sender.address.rpartition("@")[2]
    message["From"] = Address(content.from_name or sender.name, addr_spec=sender.address)
    message["To"] = _header(mail.recipient)
    if content.cc:
        message["Cc"] = tuple(_header(to) for to in content.cc)
    message["Subject"] = content.subject
    message["Date"] = mail.written_at
    message["Message-ID"] = f"<{mail.message_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    for name, value in content.headers.items():
        message[name] = value
    message.set_content(content.text, cte="quoted-printable")
    message.add_alternative(content.html, subtype="html", cte="quoted-printable")
    return message.as_bytes()


def _header(recipient: str) -> Address:
    return Address("", *on_the_wire(recipient)[0].rsplit("@", 1))


def on_the_wire(recipient: str) -> tuple[str, bool]:
    """The address as headers and SMTP commands contain it, and whether it needs SMTPUTF8."""
    local, _, domain = recipient.rpartition("@")
    return f"{local}@{domain.encode('idna').decode('ascii')}", not local.isascii()
