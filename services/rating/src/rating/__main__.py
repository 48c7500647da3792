"""Starts the rating service."""

from rating.service import run
from rating.settings import Settings
from ringfence.process import run_service

if __name__ == "__main__":
    settings = Settings()
    run_service("rating", settings, lambda health, stop: run(settings, health, stop))
