"""The queue of mails: which events queue one, and whether it is still true when it is due."""
