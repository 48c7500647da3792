"""/v1/mail-templates: the mails to clients, as the notifier loaded them; a test copy of one."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from accounts.api.bodies import Body
from accounts.api.dependencies import Deps, Who
from accounts.api.route_scopes import OPERATE, READ
from accounts.notices.api import Asked
from ringfence.mail.address import check_mail_address
from ringfence_contracts.events.model import Id, Text

router = APIRouter(prefix="/mail-templates", tags=["notices"])

TemplateName = Annotated[str, Path(max_length=100, description="such as Low Balance Alert")]
TemplateLanguage = Annotated[str, Path(max_length=20, description="a code such as en or fr")]


class MailTemplate(BaseModel):
    """A template of a language. `own`: the operator's, a file in `folder`; else the packaged one.

    `warnings` say what will look wrong in some mails. `loaded_at`: the notifier's last start.
    """

    template: str
    language: str
    own: bool
    folder: str = Field(description="where own templates are; blank: none is set")
    subject: str = Field(description="of the mail to a sample client")
    warnings: list[str]
    loaded_at: datetime


class MailTemplateWithWords(MailTemplate):
    """A template, and the whole mail that it makes for a sample client."""

    text: str
    html: str


class MailTemplateList(BaseModel):
    """All templates, by language."""

    items: list[MailTemplate]
    next: None = None


class MailCopyBody(Body):
    """Where a test copy is sent, and whose values it has: a client's, or sample values."""

    to: Text = Field(min_length=3, max_length=254)
    client: Id | None = None


@router.get("", response_model=MailTemplateList, dependencies=[READ])
async def list_templates(deps: Deps) -> dict[str, Any]:
    """The templates of all languages; none before the notifier has run."""
    return {"items": await deps.notices.templates(), "next": None}


@router.get("/{template}/{language}", response_model=MailTemplateWithWords, dependencies=[READ])
async def get_template(
    template: TemplateName, language: TemplateLanguage, deps: Deps
) -> dict[str, Any]:
    """A template, with the mail that it makes for a sample client."""
    return await deps.notices.template(template, language)


@router.post(
    "/{template}/{language}/test", status_code=202, response_model=Asked, dependencies=[OPERATE]
)
async def send_test(
    template: TemplateName, language: TemplateLanguage, body: MailCopyBody, deps: Deps, who: Who
) -> dict[str, Any]:
    """Send a test copy, to nobody but the address that is named; the notifier answers later.

    Its subject begins with [test]. It is not recorded among the mails.
    """
    found = await deps.notices.template(template, language)
    arguments = {
        "template": str(found["template"]),
        "language": str(found["language"]),
        "to": check_mail_address(body.to, "to"),
    }
    if body.client is not None:
        await deps.store.account(body.client)
        arguments["client"] = body.client
    request_id = await deps.operations.publish_command("notifier", "mail.test", arguments, who, "")
    return {"request_id": request_id}
