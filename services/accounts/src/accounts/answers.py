"""The types of API responses: what all of them share. Pure."""

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)


class Answer(BaseModel):
    """A response. It may have more fields than are described: the API grows.

    The fields keep the order in which a route gives them: people read them, too.
    """

    model_config = ConfigDict(extra="allow")
    _order: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _note_order(cls, given: Any, handler: ModelWrapValidatorHandler["Answer"]) -> "Answer":
        made = handler(given)
        if isinstance(given, dict):
            made._order = tuple(given)
        return made

    @model_serializer(mode="wrap")
    def _in_order(  # type: ignore[no-untyped-def] # noqa: ANN202
        self, handler: SerializerFunctionWrapHandler
    ):
        # Without a type of its own, so that the schema stays that of the fields.
        written = handler(self)
        return {name: written[name] for name in self._order or written if name in written}


class PageAnswer(Answer):
    """A page of a list. `next` is the cursor of the next page, null on the last one.

    `count`, the number of rows of all pages, is given with the first page of most lists.
    """

    next: str | None
    count: int | None = None


class ListAnswer(Answer):
    """A whole list; `next` is always null."""

    next: None = None
