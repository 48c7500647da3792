"""The limit on open files: each connection is one."""

import resource

import structlog

_FEW = 4096
log = structlog.get_logger()


def raise_open_files() -> int:
    """Raise the process's own limit on open files as far as it may; returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError) as error:
            log.warning("the limit on open files stays", limit=soft, reason=str(error))
    if 0 <= soft < _FEW:
        log.warning("few open files are allowed", limit=soft, expected=_FEW)
    return soft
