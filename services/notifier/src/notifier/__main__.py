"""Starts the notifier."""

from notifier.service import run
from notifier.settings import Settings
from ringfence.process import run_service

if __name__ == "__main__":
    settings = Settings()
    run_service("notifier", settings, lambda health, stop: run(settings, health, stop))
