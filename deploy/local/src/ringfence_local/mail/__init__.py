"""The local SMTP server and its mails."""
