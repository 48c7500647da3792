"""Settings: who is live, mails, operators, tokens."""
