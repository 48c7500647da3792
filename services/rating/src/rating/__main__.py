"""Starts the rating service."""

from rating.service import run
from rating.settings import Settings
from ringfence.process import run_service
from ringfence.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(Settings)
    run_service("rating", settings, lambda health, stop: run(settings, health, stop))
