"""Topics: each with its records, its rate and how far its readers are; one with its newest events.

Events are of all clients: they are shown to who may read all, as the API's documents are.
"""

import json
from typing import Any

from aiokafka.errors import KafkaError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.api.client import ApiRefused
from console.feed.broker_problem import broker_problem
from console.feed.tail import SHOWN
from console.web.page import Visit
from ringfence_contracts.examples import examples_of
from ringfence_contracts.schemas import schema_of, summary
from ringfence_contracts.topics import ALL_TOPICS, BY_NAME, PARTITIONS, Topic, retention


async def show(request: Request) -> Response:
    """All topics."""
    visit = await _visit(request)
    return visit.render("topics.html", **_all(visit))


async def list_part(request: Request) -> Response:
    """What changes on that page."""
    visit = await _visit(request)
    return visit.render("topics/list.html", **_all(visit))


async def one(request: Request) -> Response:
    """One topic, with its newest events and its contract."""
    visit, topic = await _visit(request), _topic(request)
    examples = examples_of(topic)
    return visit.render(
        "topic.html",
        example=_pretty(examples[0].document) if examples else "",
        schema=_pretty(schema_of(topic)),
        **_facts(visit, topic),
        **await _newest(visit, topic),
    )


async def part(request: Request) -> Response:
    """What changes on it: its state, or its newest events."""
    visit, topic = await _visit(request), _topic(request)
    name = request.path_params["part"]
    if name == "state":
        return visit.render("topics/state.html", **_facts(visit, topic))
    if name == "newest":
        return visit.render("topics/newest.html", topic=topic, **await _newest(visit, topic))
    raise HTTPException(404)


ROUTES = [
    Route("/topics", show),
    Route("/topics/part/list", list_part),
    Route("/topics/{topic}", one),
    Route("/topics/{topic}/part/{part}", part),
]


async def _visit(request: Request) -> Visit:
    """The visit of an operator who may read. Raises ApiRefused."""
    visit = Visit(request)
    who = await visit.get("/sessions/current")
    if not {"read", "admin"} & set(who["scopes"]):
        allowed = ", ".join(who["scopes"])
        raise ApiRefused(
            403,
            [
                f"You are {who['name']}, and may do this: {allowed}. Topics have the events of all"
                " clients, and need the scope read: ask an administrator to give it to you."
            ],
        )
    visit.console.watch.ask()
    return visit


def _all(visit: Visit) -> dict[str, Any]:
    return {
        "topics": ALL_TOPICS,
        "about": _about,
        "watch": visit.console.watch,
        "partitions": PARTITIONS,
    }


def _facts(visit: Visit, topic: Topic) -> dict[str, Any]:
    watch = visit.console.watch
    return {
        "topic": topic,
        "about": _about(topic),
        "retention": retention(topic.name),
        "state": watch.states.get(topic.name),
        "watch": watch,
        "partitions": PARTITIONS,
    }


async def _newest(visit: Visit, topic: Topic) -> dict[str, Any]:
    """The newest events; none, and why, if the brokers are known to be away or do not give them."""
    console = visit.console
    if console.watch.problem:
        return {"newest": None, "slow": False, "problem": console.watch.problem, "most": SHOWN}
    newest, problem, slow = None, "", False
    try:
        newest = await console.tail.newest(topic)
    except TimeoutError:
        slow = True
    except (KafkaError, OSError) as error:
        problem = await broker_problem(console.tail.bootstrap, error)
    return {"newest": newest, "slow": slow, "problem": problem, "most": SHOWN}


def _topic(request: Request) -> Topic:
    topic = BY_NAME.get(request.path_params["topic"])
    if topic is None:
        raise HTTPException(404)
    return topic


def _about(topic: Topic) -> str:
    return summary(topic).replace("`", "")


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
