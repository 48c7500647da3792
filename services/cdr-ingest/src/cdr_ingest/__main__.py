"""Starts the cdr-ingest service."""

from cdr_ingest.service import run
from cdr_ingest.settings import Settings
from ringfence.process import run_service
from ringfence.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(Settings)
    run_service("cdr-ingest", settings, lambda health, stop: run(settings, health, stop))
