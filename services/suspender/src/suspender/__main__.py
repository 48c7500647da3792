"""Starts the suspender service."""

from ringfence.process import run_service
from ringfence.settings import read_settings
from suspender.service import run
from suspender.settings import Settings

if __name__ == "__main__":
    settings = read_settings(Settings)
    run_service("suspender", settings, lambda health, stop: run(settings, health, stop))
