"""The metrics of the mails."""

from prometheus_client import Counter, Gauge, Histogram

MAILS = Counter("ringfence_mails_total", "Mails by what became of them.", ["template", "outcome"])
MAIL_SECONDS = Histogram(
    "ringfence_mail_seconds",
    "From an event handled to its mail accepted by the SMTP server.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 300, 3600, 86400),
)
OLDEST_UNSENT_SECONDS = Gauge(
    "ringfence_mail_oldest_unsent_seconds",
    "Age of the oldest mail in a state that it should leave.",
    ["state"],
)
UNSENT = Gauge("ringfence_mails_unsent", "Mails in a state that they should leave.", ["state"])
SMTP_UNREACHABLE = Gauge(
    "ringfence_smtp_unreachable", "1 while the SMTP server cannot be reached, else 0."
)
