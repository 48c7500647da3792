"""The metric of failed logins."""

from prometheus_client import Counter

FAILURES = Counter(
    "ringfence_api_failed_logins_total",
    "Requests refused before a route was found, and logins that were refused. reason: missing (no"
    " token), unknown (a token that is not in use), client (a client's session that has ended),"
    " client-link (a link to a client's page that is not valid), password (a wrong name or"
    " password, or a link that is not valid), limited (too many failures from the address before).",
    ["reason"],
)
