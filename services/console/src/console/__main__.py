"""Starts the console."""

from console.service import run
from console.settings import Settings
from ringfence.process import run_service
from ringfence.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(Settings)
    run_service("console", settings, lambda health, stop: run(settings, health, stop))
