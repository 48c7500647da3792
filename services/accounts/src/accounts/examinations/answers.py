"""The result of an examination, as the job of it has it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ExaminationCheck(BaseModel):
    """One check: of what, what was found, and what to do unless it is ok.

    `subject` is a server, a tenant, Kafka, PostgreSQL or SMTP. `message` describes the state.
    """

    model_config = ConfigDict(extra="allow")
    subject: str
    check: str
    state: Literal["ok", "warn", "fail"]
    message: str = Field(alias="said")
    do: str


class ExaminationResult(BaseModel):
    """The result of `doctor.examine`: the checks, by subject."""

    model_config = ConfigDict(extra="allow")
    findings: list[ExaminationCheck]
