"""The rendering of mails: one layout, links, headers and copies."""
