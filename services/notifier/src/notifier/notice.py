"""The names of templates, under the path that other modules still use."""

from notifier.owed.notice import LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE

__all__ = ["LOW_BALANCE_ALERT", "VOIP_ZERO_BALANCE"]
