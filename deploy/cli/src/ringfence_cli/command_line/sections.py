"""The sections of `ringfence --help`: what an operator looks for, and by which commands.

A command of any package is listed here once; a test names those that are not.
"""

from collections.abc import Iterable

SECTIONS: dict[str, tuple[str, ...]] = {
    "Clients and money": (
        "client", "account", "ledger", "topup", "outstanding", "payments", "suspend", "unsuspend",
        "order", "mode", "product",
    ),
    "Calls and prices": ("calls", "explain", "unrated", "tariff", "package", "rerate"),
    "Servers and services": (
        "servers", "server", "services", "service", "reaction", "brake", "adopt", "lesnet",
    ),
    "Mails and alarms": ("alarms", "mails", "template", "webhooks", "inbox"),
    "Set up and run": (
        "init", "up", "run", "operator", "token", "demo", "secrets", "database", "topics", "backup",
        "restore", "completion",
    ),
    "Check and repair": ("doctor", "verify", "jobs", "dead", "vectors", "contracts"),
}  # fmt: skip
"""The commands of each section, those that are used most first."""
OTHERS = "Further commands"


def sections_of(names: Iterable[str]) -> dict[str, list[str]]:
    """These commands by section, in the order of SECTIONS; the rest is under OTHERS."""
    left = list(names)
    found: dict[str, list[str]] = {}
    for title, members in SECTIONS.items():
        found[title] = [name for name in members if name in left]
        left = [name for name in left if name not in members]
    return {title: commands for title, commands in {**found, OTHERS: left}.items() if commands}
