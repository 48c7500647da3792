"""Mails as the notifier shows them: which were sent, wait, failed, and why."""
