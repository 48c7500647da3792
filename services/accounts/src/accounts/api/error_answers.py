"""The error responses of every route, as its OpenAPI document describes them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class OneError(BaseModel):
    """One value of a request that is refused."""

    field: str = Field(description="the field as the request names it")
    value: Any = Field(description="the refused value, its beginning, or null")
    expected: str = Field(description="what would be accepted")
    message: str = Field(description="all of it as one sentence")


class FirstError(OneError):
    """The first refused value; the errors of a tariff file and a missing payment say more."""

    model_config = ConfigDict(extra="allow")


class ErrorAnswer(BaseModel):
    """The body of every response that is an error."""

    error: FirstError
    errors: list[OneError] = Field(description="all that is refused")


_MEANINGS = {
    400: "the request cannot be read",
    401: "the token is missing or unknown, or the login is wrong",
    403: "the token does not allow this",
    404: "there is no such thing",
    405: "this address does not take this method",
    409: "it contradicts what exists",
    412: "it was changed since it was read",
    413: "the body is too large",
    422: "a value is refused",
    429: "too many unknown tokens or wrong logins came from this address",
    500: "a bug; the log says what",
    503: "the database does not answer; try again in a moment",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": meaning} for status, meaning in _MEANINGS.items()
}
