"""Access control on the brokers: who may do what, grants, SCRAM logins."""
