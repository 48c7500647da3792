"""Starts the balance-watch service."""

from balance_watch.service import run
from balance_watch.settings import Settings
from ringfence.process import run_service

if __name__ == "__main__":
    settings = Settings()
    run_service("balance-watch", settings, lambda health, stop: run(settings, health, stop))
