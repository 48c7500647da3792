"""The form of mails: one layout, and what a mail is made of beside its words."""
