"""Topics: each with its records, its rate and how far its readers are; one with its newest events.

Events are of all clients and say more than any page: they are shown to who may operate all servers.
"""

import json
from typing import Any

from aiokafka.errors import KafkaError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.api.client import ApiRefused
from console.feed.tail import SHOWN, TailEvent
from console.web.page import Visit
from ringfence_contracts.documents.asyncapi import summary
from ringfence_contracts.documents.topic_table import retention
from ringfence_contracts.examples import examples_of
from ringfence_contracts.schemas import schema_of
from ringfence_contracts.topics import ALL_TOPICS, BY_NAME, Topic


async def show(request: Request) -> Response:
    """All topics."""
    visit = Visit(request)
    await _check(visit)
    return visit.render("topics.html", **_all(visit))


async def part(request: Request) -> Response:
    """What changes on a page: the list, or the newest events of a topic."""
    visit = Visit(request)
    await _check(visit)
    if request.path_params["topic"] == "list":
        return visit.render("topics/list.html", **_all(visit))
    topic = _topic(request)
    return visit.render("topics/newest.html", topic=topic, **await _newest(visit, topic))


async def one(request: Request) -> Response:
    """One topic with its contract."""
    visit = Visit(request)
    await _check(visit)
    topic = _topic(request)
    examples = examples_of(topic)
    return visit.render(
        "topic.html",
        topic=topic,
        about=summary(topic),
        retention=retention(topic.name),
        state=visit.console.watch.states.get(topic.name),
        watch=visit.console.watch,
        example=_pretty(examples[0].document) if examples else "",
        schema=_pretty(schema_of(topic)),
        **await _newest(visit, topic),
    )


async def _check(visit: Visit) -> None:
    """Raise ApiRefused unless this operator may see the events of all clients."""
    who = await visit.get("/sessions/current")
    scopes = who["scopes"]
    if "admin" in scopes or ("operate" in scopes and who["servers"] is None):
        return
    problem = (
        "Events of all clients are shown to who has the scope operate for all servers, or admin."
    )
    raise ApiRefused(403, [problem])


def _all(visit: Visit) -> dict[str, Any]:
    return {"topics": ALL_TOPICS, "about": summary, "watch": visit.console.watch}


async def _newest(visit: Visit, topic: Topic) -> dict[str, Any]:
    events: list[TailEvent] = []
    problem = ""
    try:
        events = await visit.console.tail.newest(topic.name)
    except (KafkaError, OSError, TimeoutError) as error:
        problem = type(error).__name__
    return {"events": events, "problem": problem, "most": SHOWN}


def _topic(request: Request) -> Topic:
    topic = BY_NAME.get(request.path_params["topic"])
    if topic is None:
        raise HTTPException(404)
    return topic


def _pretty(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)
