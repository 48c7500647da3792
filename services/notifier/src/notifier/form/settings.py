"""The settings of texts and layout of mails."""

from datetime import UTC
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from notifier.form.css import DEFAULT_COLOUR, is_colour
from notifier.form.layout import ClientPageLinks, Layout, UnsubscribeLinks
from notifier.template_files import load_catalogue
from notifier.words.amounts import is_language, zone_of
from notifier.words.catalogue import (
    LOW_BALANCE_ALERT,
    VOIP_RESTORED,
    VOIP_ZERO_BALANCE,
    Catalogue,
)
from ringfence.mail.address import is_mail_address
from ringfence.settings import CommonSettings
from ringfence_contracts.errors import BadInput


class FormSettings(CommonSettings):
    """The part of the notifier's settings that rendering mails needs."""

    notifier_templates_dir: Path | None = Field(
        None,
        description="folder with own templates and further languages; none: the packaged ones",
    )
    notifier_language: str = Field(
        "en", description="language of clients without one, and of own templates: en, fr, …"
    )
    notifier_subject_low: str = Field(
        "", description="subject of an own Low Balance Alert whose file has no line Subject:"
    )
    notifier_subject_zero: str = Field(
        "", description="subject of an own VoIP Zero Balance whose file has no line Subject:"
    )
    notifier_subject_restored: str = Field(
        "", description="subject of an own VoIP Restored whose file has no line Subject:"
    )
    notifier_company: str = Field("", description="the company's name, shown in each mail")
    notifier_company_address: str = Field(
        "", description="the company's postal address on one line, shown at the end of each mail"
    )
    notifier_logo_url: str = Field(
        "", description="https address of the company's logo; blank: its name is shown"
    )
    notifier_colour: str = Field(
        DEFAULT_COLOUR, description="the company's colour, for the button and the name: #rrggbb"
    )
    notifier_signature: str = Field(
        "", description="text for {$signature} in templates; may have several lines"
    )
    notifier_pay_link: str = Field(
        "", description="address where clients add funds: the button of the mails; blank: no button"
    )
    notifier_reply_to: str = Field(
        "", description="address that replies go to; blank: the From address"
    )
    notifier_public_url: str = Field(
        "",
        description="address under which clients reach the API of accounts, for the link to"
        " unsubscribe, which needs RINGFENCE_UNSUBSCRIBE_KEY(_FILE) too; blank: no link",
    )
    notifier_operator_time_zone: str = Field(
        "UTC", description="the operator's time zone, for mails to the operator: America/Toronto"
    )
    notifier_sender_name: str = Field(
        "", description="the name shown with the From address; blank: the company's"
    )

    @field_validator("notifier_language")
    @classmethod
    def _known_language(cls, value: str) -> str:
        if not is_language(value):
            raise BadInput("language", value, "a code such as en, fr or pt_BR")
        return value.lower().replace("-", "_")

    @field_validator("notifier_operator_time_zone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        if value != "UTC" and zone_of(value) is UTC:
            raise BadInput("time zone", value, "a name such as America/Toronto")
        return value

    @field_validator("notifier_colour")
    @classmethod
    def _a_colour(cls, value: str) -> str:
        if not is_colour(value):
            raise BadInput("colour", value, "six hexadecimal digits such as #1f5f8b")
        return value

    @field_validator("notifier_logo_url", "notifier_pay_link", "notifier_public_url")
    @classmethod
    def _an_url(cls, value: str) -> str:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.netloc and value.isascii()
        if value and (not good or any(c.isspace() or c in "<>\"'" for c in value)):
            raise BadInput("address", value, "an address such as https://billing.example.net/pay")
        return value

    @field_validator("notifier_reply_to")
    @classmethod
    def _an_address_for_replies(cls, value: str) -> str:
        if value and not (is_mail_address(value) and value.isascii()):
            raise BadInput("reply-to", value, "one bare mail address such as help@example.net")
        return value

    @model_validator(mode="after")
    def _key_with_page(self) -> "FormSettings":
        if self.client_page_url and not self.client_link_secret():
            raise ValueError(
                "client_page_url is set, and client_link_key is not: give the key, or the file"
                " with it, to notifier and accounts"
            )
        return self

    @model_validator(mode="after")
    def _key_with_link(self) -> "FormSettings":
        key = self.unsubscribe_secret()
        if self.notifier_public_url and not key:
            raise ValueError(
                "notifier_public_url is set, and unsubscribe_key is not: give the key, or the"
                " file with it, to notifier and accounts"
            )
        return self

    def layout(self) -> Layout:
        """The layout of all mails."""
        key, page_key = self.unsubscribe_secret(), self.client_link_secret()
        page = ClientPageLinks(self.client_page_url, page_key) if page_key else None
        links = UnsubscribeLinks(self.notifier_public_url, key) if key else None
        return Layout(
            company=self.notifier_company,
            logo_url=self.notifier_logo_url,
            colour=self.notifier_colour,
            address=self.notifier_company_address,
            signature=self.notifier_signature.replace("\\n", "\n"),
            pay_link=self.notifier_pay_link,
            from_name=self.notifier_sender_name,
            reply_to=self.notifier_reply_to,
            unsubscribe=links if self.notifier_public_url else None,
            client_page=page if self.client_page_url else None,
        )

    def catalogue(self) -> Catalogue:
        """All templates. Raises BadInput if one is invalid."""
        subjects = {
            LOW_BALANCE_ALERT: self.notifier_subject_low,
            VOIP_ZERO_BALANCE: self.notifier_subject_zero,
            VOIP_RESTORED: self.notifier_subject_restored,
        }
        return load_catalogue(
            self.notifier_templates_dir, language=self.notifier_language, subjects=subjects
        )
