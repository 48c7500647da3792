"""Commands of operators to the services; alarms and the brake."""
