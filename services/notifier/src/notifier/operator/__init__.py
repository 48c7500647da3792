"""The operator's channels: the daily digest, chat and SMS, webhooks."""
