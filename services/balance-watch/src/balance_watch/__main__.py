"""Starts the balance-watch service."""

from balance_watch.service import run
from balance_watch.settings import Settings
from ringfence.process import run_service
from ringfence.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(Settings)
    run_service("balance-watch", settings, lambda health, stop: run(settings, health, stop))
