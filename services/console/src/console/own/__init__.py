"""A client's own page, opened by a link in a mail: its balance, calls, statement, prices, mails."""
