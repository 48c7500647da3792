"""Reads the forms of our pages."""

from starlette.requests import Request

from console.web.session import check_form, token_of

_LONGEST = 2000
_MOST_FIELDS = 200


async def read_form(request: Request, *names: str, token: str | None = None) -> dict[str, str]:
    """The fields of a form of this session, stripped; a field that is not sent is empty.

    `token` is the session's; None: an operator's. Raises ForeignForm for a form that is not of it.
    """
    form = await fields_of(request, "proof", *names)
    check_form(request, form.pop("proof"), token_of(request) if token is None else token)
    return form


async def fields_of(request: Request, *names: str) -> dict[str, str]:
    """The fields of a form, stripped and cut to what a field may hold."""
    form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    return {name: str(form.get(name, ""))[:_LONGEST].strip() for name in names}


async def read_choices(request: Request, name: str, most: int) -> list[str]:
    """What was ticked of a list of a form that was read: at most so many, each once."""
    form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    found = (str(each)[:_LONGEST].strip() for each in form.getlist(name)[:most])
    return [each for each in dict.fromkeys(found) if each]
