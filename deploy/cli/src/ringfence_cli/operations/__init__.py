"""Commands about alarms, the brake, calls, mails and services."""
