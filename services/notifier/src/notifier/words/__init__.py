"""Texts of mails: WHMCS's template syntax, merge fields, amounts, dates and languages. Pure."""
