"""Mails and their states, as the notifier shows them; unsubscription."""
