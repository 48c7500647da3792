"""The addresses of a client's own page, all below `/my`."""

from starlette.routing import Route

from console.own import opening, pages
from console.own.stream import stream
from console.own.visit import own_page

ROUTES = [
    Route("/my", own_page(pages.home), methods=["GET"]),
    Route("/my/open", own_page(opening.open_page), methods=["POST"]),
    Route("/my/link", own_page(opening.request_link), methods=["POST"]),
    Route("/my/leave", own_page(opening.leave), methods=["POST"]),
    Route("/my/now", own_page(pages.home_part)),
    Route("/my/calls", own_page(pages.calls)),
    Route("/my/calls/{call_id:uuid}", own_page(pages.call)),
    Route("/my/statement", own_page(pages.statement)),
    Route("/my/statement.csv", own_page(pages.statement_csv)),
    Route("/my/prices", own_page(pages.prices)),
    Route("/my/mails", own_page(pages.mails), methods=["GET"]),
    Route("/my/mails", own_page(pages.change_mails), methods=["POST"]),
    Route("/my/stream", own_page(stream)),
    Route("/clients/{account_id}/see", opening.see_as_client, methods=["POST"]),
]
