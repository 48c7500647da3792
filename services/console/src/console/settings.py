"""The settings of the console, each with its default and its unit."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from console.web.page import Company
from ringfence.settings import CommonSettings


class Settings(CommonSettings):
    """Read from `RINGFENCE_*`; those of this service alone from `RINGFENCE_CONSOLE_*`."""

    console_host: str = Field("127.0.0.1", description="where the pages are served")
    console_port: int = Field(
        8081, ge=0, le=65535, description="its TCP port; 0: any free one, written to the log"
    )
    console_api: str = Field("http://127.0.0.1:8080", description="the API of accounts, as a URL")
    console_zone: str = Field("UTC", description="the zone of the times on its pages")
    console_locale: str = Field("en_CA", description="how amounts and dates are written")

    console_company: str = Field(
        "", description="the company's name on the clients' own pages, as in the mails"
    )
    console_pay_link: str = Field(
        "", description="where clients add funds: the button of their pages, as of the mails"
    )

    def company(self) -> Company:
        """Whose pages the clients see."""
        return Company(self.console_company, self.console_pay_link)

    @field_validator("console_pay_link")
    @classmethod
    def _is_a_link(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.netloc):
            raise ValueError("expected an address such as https://billing.example.net/pay")
        return value

    @field_validator("console_api")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("expected http://host:port or https://host:port")
        return value.rstrip("/")
