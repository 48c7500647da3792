"""Starts the accounts service."""

from accounts.service import run
from accounts.settings import Settings
from ringfence.process import run_service
from ringfence.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(Settings)
    run_service("accounts", settings, lambda health, stop: run(settings, health, stop))
