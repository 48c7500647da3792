"""Starts the notifier."""

from notifier.service import run
from notifier.settings import Settings
from ringfence.process import run_service
from ringfence.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(Settings)
    run_service("notifier", settings, lambda health, stop: run(settings, health, stop))
