"""The metrics of Les.net: age of the newest row, refused files, balance of the account."""

from prometheus_client import Gauge

NEWEST_ROW_AGE = Gauge(
    "ringfence_lesnet_newest_row_age_seconds",
    "Age of a file's newest row: calls since then are not billed yet.",
    ["server", "link"],
)
FILE_REFUSED = Gauge(
    "ringfence_lesnet_file_refused",
    "1 while a file is refused whole because its format does not fit the profile.",
    ["server", "link"],
)
UNFIT_LINES = Gauge(
    "ringfence_lesnet_unfit_lines", "Lines of the last file that did not fit.", ["server", "link"]
)
BALANCE_MICRO = Gauge(
    "ringfence_lesnet_balance_micro", "What is left of the account at Les.net.", ["server"]
)
BALANCE_LOW = Gauge(
    "ringfence_lesnet_balance_low", "1 while that is below balance_below.", ["server"]
)
