"""The notifier's settings, from `RINGFENCE_*`, each with its default and unit."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from notifier.operator.settings import OperatorSettings
from notifier.sending.smtp import SmtpServer, is_loopback
from ringfence.mail.address import check_mail_address
from ringfence_contracts.errors import BadInput

TlsSetting = Literal["auto", "none", "starttls", "tls"]


class Settings(OperatorSettings):
    """The notifier's settings."""

    notifier_operator_email: str = Field(
        "", description="address that alarms are mailed to; blank: none are mailed"
    )
    notifier_alarm_group_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="seconds between two mails about alarms of one kind; those that come between"
        " share the next mail",
    )
    notifier_in_doubt: Literal["hold", "resend"] = Field(
        "hold",
        description="a mail that the server may have taken, its answer being lost: hold it for an"
        " operator (the client reads it at most once), or resend it (at least once)",
    )
    notifier_give_up_after_s: float = Field(
        86_400, gt=0, description="seconds after which a mail that is only ever deferred has failed"
    )
    notifier_low_interval_s: float = Field(
        3600.0,
        ge=0,
        le=604_800,
        description="seconds between two low balance alerts of one client: one that comes sooner"
        " waits, and is sent if it is still true",
    )
    notifier_reminder: Literal["off", "daily"] = Field(
        "off", description="daily: a client is reminded each day while the balance stays low"
    )
    notifier_obey_s: float = Field(
        120.0,
        ge=0,
        le=3600,
        description="seconds after which the zero balance mail is sent, in other words, though the"
        " PBX did not switch the service off",
    )
    notifier_poll_s: float = Field(
        1.0, gt=0, le=60, description="seconds between looks for mails that became due"
    )
    notifier_sender: str = Field(
        "billing@localhost", description="the From address, bare; also the envelope's sender"
    )
    notifier_smtp_host: str = Field("127.0.0.1", description="the SMTP server's name or address")
    notifier_smtp_port: int = Field(25, ge=1, le=65535, description="its TCP port")
    notifier_smtp_tls: TlsSetting = Field(
        "auto",
        description="none, starttls or tls; auto: tls on 465, starttls on 587, else encrypted"
        " wherever the server offers STARTTLS",
    )
    notifier_smtp_ca_file: Path | None = Field(
        None, description="PEM file of the authorities to trust; none: the machine's"
    )
    notifier_smtp_user: str = Field("", description="user name; blank: no authentication")
    notifier_smtp_password: SecretStr = Field(SecretStr(""), description="its password")
    notifier_smtp_password_file: Path | None = Field(
        None, description="a file with the password in it, instead of the password"
    )
    notifier_smtp_connections: int = Field(
        2,
        ge=1,
        le=20,
        description="connections to the SMTP server, each sending one mail at a time",
    )
    notifier_smtp_command_s: float = Field(
        10.0, gt=0, le=12, description="seconds to wait for the server to connect or to answer"
    )
    notifier_smtp_data_s: float = Field(
        60.0, gt=0, le=600, description="seconds to wait for its answer to a whole mail"
    )

    @field_validator("notifier_operator_email", "notifier_sender")
    @classmethod
    def _an_address(cls, value: str) -> str:
        return check_mail_address(value, "address") if value else value

    @field_validator("notifier_sender")
    @classmethod
    def _a_sender(cls, value: str) -> str:
        if not value or not value.isascii():
            raise BadInput("sender", value, "an address in ASCII: every server takes that")
        return value

    @model_validator(mode="after")
    def _one_password(self) -> "Settings":
        if self.notifier_smtp_password_file and self.notifier_smtp_password.get_secret_value():
            raise ValueError("the SMTP password is given in a setting and in a file: give one")
        return self

    def smtp_password(self) -> str:
        """The password, from the setting or its file. Raises BadInput if the file is unreadable."""
        path = self.notifier_smtp_password_file
        if path is None:
            return self.notifier_smtp_password.get_secret_value()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            expected = f"a file with the SMTP password ({type(error).__name__})"
            raise BadInput("notifier_smtp_password_file", str(path), expected) from None

    def smtp_tls(self) -> Literal["none", "offered", "starttls", "tls"]:
        """The encryption of the connection: as set, or the convention of the port."""
        if self.notifier_smtp_tls != "auto":
            return self.notifier_smtp_tls
        by_port: dict[int, Literal["starttls", "tls"]] = {465: "tls", 587: "starttls"}
        return by_port.get(self.notifier_smtp_port, "offered")

    def smtp_server(self) -> SmtpServer:
        """The server. Raises BadInput if a password would be sent unencrypted."""
        server = SmtpServer(
            host=self.notifier_smtp_host,
            port=self.notifier_smtp_port,
            tls=self.smtp_tls(),
            ca_file=self.notifier_smtp_ca_file,
            user=self.notifier_smtp_user,
            password=self.smtp_password(),
            command_s=self.notifier_smtp_command_s,
            data_s=self.notifier_smtp_data_s,
        )
        if server.user and server.tls == "none" and not is_loopback(server.host):
            raise BadInput(
                "notifier_smtp_tls",
                "none",
                "auto, starttls or tls: with a user name the password would go in clear to"
                f" {server.host}",
            )
        return server
