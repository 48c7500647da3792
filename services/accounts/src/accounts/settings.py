"""The settings of the accounts service, each with its default and its unit."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from ringfence.settings import CommonSettings
from ringfence_contracts.errors import BadInput


class Settings(CommonSettings):
    """Read from `RINGFENCE_*`; those of this service alone from `RINGFENCE_ACCOUNTS_*`."""

    accounts_host: str = Field("127.0.0.1", description="where the API is served")
    accounts_port: int = Field(
        8080, ge=0, le=65535, description="its TCP port; 0: any free one, written to the log"
    )
    accounts_tokens: SecretStr = Field(
        SecretStr(""), description="who may use the API: name:token,name:token"
    )
    accounts_tokens_file: Path | None = Field(
        None, description="a file of such pairs, one a line, read in addition"
    )
    accounts_default_mode: Literal["live", "shadow"] = Field(
        "live", description="the mode of new clients; shadow: nothing is switched"
    )
    accounts_pool_size: int = Field(8, ge=2, le=100, description="database connections at most")

    def token_pairs(self) -> SecretStr:
        """All name:token pairs. Raises BadInput when a named file does not exist."""
        pairs = self.accounts_tokens.get_secret_value()
        file = self.accounts_tokens_file
        if file is None:
            return SecretStr(pairs)
        if not file.is_file():
            raise BadInput(
                "RINGFENCE_ACCOUNTS_TOKENS_FILE", str(file), "a file of name:token lines"
            )
        return SecretStr(f"{pairs}\n{file.read_text(encoding='utf-8')}")
