"""Reads the forms of our pages."""

from starlette.requests import Request

from console.web.session import check_form

_LONGEST = 2000


async def read_form(request: Request, *names: str) -> dict[str, str]:
    """The fields of a form of this session, stripped; a field that is not sent is empty.

    Raises ForeignForm for a form that is not of this session.
    """
    form = await fields_of(request, "proof", *names)
    check_form(request, form.pop("proof"))
    return form


async def fields_of(request: Request, *names: str) -> dict[str, str]:
    """The fields of a form, stripped and cut to what a field may hold."""
    form = await request.form(max_files=0, max_fields=50)
    return {name: str(form.get(name, ""))[:_LONGEST].strip() for name in names}
