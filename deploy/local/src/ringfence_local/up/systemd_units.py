"""systemd units for a machine with Kafka and PostgreSQL of its own: one for each service.

systemd does what the supervisor does for `ringfence up`: it starts and restarts services, and
stores their logs (journald rotates them).
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ringfence.kafka.access.acls import CONSOLE
from ringfence.postgres.roles import login_of
from ringfence.secret_files import SERVICES
from ringfence_contracts.errors import BadInput
from ringfence_local.stack import MIGRATIONS
from ringfence_local.up.own_stack import PUSH_PORT, WANTED_PORTS

_WITH_CONSOLE = (*SERVICES, CONSOLE)
SETTINGS = Path("/etc/ringfence")
"""The folder from which the units read ringfence.env and one more file for each service."""

_HARDENING = """\
User=ringfence
Group=ringfence
WorkingDirectory=/
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={protect_home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""

_JOB = """\
[Unit]
Description=ringfence: {what}
Wants=network-online.target
After=network-online.target postgresql.service kafka.service
PartOf=ringfence.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
{environment}# Until it works, however long that takes: if this unit failed, so would all services.
ExecStart=/bin/sh -c 'until "$$@"; do sleep 2; done' sh {command}
TimeoutStartSec=infinity
{hardening}"""

_SERVICE = """\
[Unit]
Description=ringfence: {what}
Wants=network-online.target
Requires=ringfence-migrate.service ringfence-topics.service
After=network-online.target ringfence-migrate.service ringfence-topics.service
PartOf=ringfence.target
StartLimitIntervalSec=0

[Service]
Type=exec
{environment}ExecStart={command}
Restart=always
RestartSec=2
# 64: a setting is refused, and the journal says which. Another start would be refused too.
RestartPreventExitStatus=64
TimeoutStopSec=30
{hardening}"""

_TARGET = """\
[Unit]
Description=ringfence: all services
Wants={wants}

[Install]
WantedBy=multi-user.target
"""

_EXAMPLE = """\
# Copy to {settings}/ringfence.env (root, mode 0600) and edit. Every service reads it; what one
# service alone should know, such as its own login, goes to {settings}/SERVICE.env, read after it.
RINGFENCE_KAFKA_BOOTSTRAP=127.0.0.1:9092
RINGFENCE_TOPICS_REPLICATION=1
RINGFENCE_SERVERS_FILE={servers}
RINGFENCE_ACCOUNTS_TOKENS_FILE={settings}/secrets/accounts/tokens
RINGFENCE_ACCOUNTS_DEFAULT_MODE={mode}
RINGFENCE_NOTIFIER_SMTP_HOST=127.0.0.1
RINGFENCE_NOTIFIER_SENDER=billing@example.net
"""


_LOGIN_EXAMPLE = """\
# Copy to {settings}/{name}.env (root, mode 0600); docs/secure-connections.md says how to check a
# server that is not on this machine.
RINGFENCE_POSTGRES_DSN=postgresql://{login}@127.0.0.1:5432/ringfence
RINGFENCE_POSTGRES_PASSWORD_FILE={settings}/secrets/{place}/postgres-password
"""


@dataclass(frozen=True)
class Installation:
    """The paths and ports of this machine that the units contain."""

    servers_file: Path
    default_mode: str = "shadow"
    port: int = WANTED_PORTS["accounts"]
    push_port: int = PUSH_PORT
    console_port: int = WANTED_PORTS["console"]
    python: Path = Path(sys.executable)
    migrations: Path = MIGRATIONS
    compiled: Path | None = None

    @property
    def homes(self) -> list[Path]:
        """The paths in a home directory, which ProtectHome would hide from the services."""
        paths = [self.servers_file, self.python, self.python.resolve(), self.migrations]
        return [path for path in paths if {"home", "root"} & set(path.parts[1:2])]


def unit_files(here: Installation) -> dict[str, str]:
    """The text of every file by name: a target, two jobs, the services, and example settings.

    Raises BadInput if a path has a character that systemd does not accept.
    """
    for path in (here.servers_file, here.python, here.migrations):
        if not str(path).isprintable() or set(str(path)) & set("\"'\\$"):
            raise BadInput("path", str(path), "a path without quotes, backslash, $ and line breaks")
    hardening = _HARDENING.format(protect_home="read-only" if here.homes else "yes")
    files = {
        "ringfence.target": _TARGET.format(
            wants=" ".join(f"ringfence-{s}.service" for s in _WITH_CONSOLE)
        ),
        "ringfence.env.example": _EXAMPLE.format(
            settings=SETTINGS, servers=here.servers_file, mode=here.default_mode
        ),
        **_login_examples(),
        **_jobs(here, hardening),
    }
    for service in _WITH_CONSOLE:
        files[f"ringfence-{service}.service"] = _SERVICE.format(
            what=service,
            environment=_environment(here, service, _defaults(here, service)),
            command=_command(here, "-m", service.replace("-", "_")),
            hardening=hardening,
        )
    return files


def write_units(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write the missing files and return them. Raises BadInput if another file has such a name.

    No existing file is changed, and nothing is written before all names are checked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = {folder / name: text for name, text in files.items()}
    for path in list(missing):
        if not os.path.lexists(path):
            continue
        if not path.is_file() or path.read_text(encoding="utf-8") != missing.pop(path):
            raise BadInput("file", str(path), "no other file of that name: move it away first")
    for path, text in missing.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return list(missing)


def _jobs(here: Installation, hardening: str) -> dict[str, str]:
    """The jobs that run before the services at each start; both are idempotent."""
    migrate = ("-m", "ringfence_cli.main", "database", "migrate", "--folder", str(here.migrations))
    topics = _command(here, "-m", "ringfence_cli.main", "topics", "create", "--replication")
    copies = {"RINGFENCE_TOPICS_REPLICATION": "1"}
    return {
        "ringfence-migrate.service": _JOB.format(
            what="bring the database up to date",
            environment=_environment(here, "migrate", {}),
            command=_command(here, *migrate),
            hardening=hardening,
        ),
        "ringfence-topics.service": _JOB.format(
            what="create the topics that are missing",
            environment=_environment(here, "topics", copies),
            command=f"{topics} ${{RINGFENCE_TOPICS_REPLICATION}}",
            hardening=hardening,
        ),
    }


def _login_examples() -> dict[str, str]:
    """Example settings of the database login of each service, and of its owner for migrations."""
    logins = {service: (login_of(service), service) for service in SERVICES}
    logins["migrate"] = ("postgres", "postgres")
    return {
        f"{name}.env.example": _LOGIN_EXAMPLE.format(
            settings=SETTINGS, name=name, login=login, place=place
        )
        for name, (login, place) in logins.items()
    }


def _defaults(here: Installation, service: str) -> dict[str, str]:
    """The settings of a service that the settings files can override."""
    defaults = {
        "RINGFENCE_HEALTH_PORT": str(WANTED_PORTS[f"{service}-health"]),
        "RINGFENCE_SERVERS_FILE": str(here.servers_file),
    }
    if service == "accounts":
        defaults["RINGFENCE_ACCOUNTS_DEFAULT_MODE"] = here.default_mode
        defaults["RINGFENCE_ACCOUNTS_PORT"] = str(here.port)
    if service == CONSOLE:
        defaults["RINGFENCE_CONSOLE_PORT"] = str(here.console_port)
        defaults["RINGFENCE_CONSOLE_API"] = f"http://127.0.0.1:{here.port}"
    if service == "cdr-ingest":
        defaults["RINGFENCE_CDR_INGEST_PUSH_PORT"] = str(here.push_port)
    return defaults


def _environment(here: Installation, name: str, defaults: Mapping[str, str]) -> str:
    """The lines with a service's settings; those of a file override those in the unit."""
    settings = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **defaults}
    if here.compiled:
        settings["PYTHONPATH"] = str(here.compiled)
    lines = [f"Environment={_word(f'{key}={value}')}" for key, value in settings.items()]
    lines += [
        f"EnvironmentFile={SETTINGS}/ringfence.env",
        f"EnvironmentFile=-{SETTINGS}/{name}.env",
    ]
    return "\n".join(lines) + "\n"


def _command(here: Installation, *arguments: str) -> str:
    return " ".join(_word(word) for word in (str(here.python), *arguments))


def _word(text: str) -> str:
    """One word of a unit file, quoted if necessary. It must not contain quotes."""
    plain = text.replace("%", "%%")
    return f'"{plain}"' if set(plain) & set(" ;") else plain
