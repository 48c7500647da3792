"""Who may use the API, and for what: operators, their tokens and scopes, failed logins."""
