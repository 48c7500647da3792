"""Starts the accounts service."""

from accounts.service import run
from accounts.settings import Settings
from ringfence.process import run_service

if __name__ == "__main__":
    settings = Settings()
    run_service("accounts", settings, lambda health, stop: run(settings, health, stop))
