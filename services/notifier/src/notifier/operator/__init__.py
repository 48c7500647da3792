"""What reaches the operator: the daily digest, chat and SMS, webhooks."""
