"""The loaded templates with what they make of a sample client: what operators are shown. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from notifier.form.layout import Layout
from notifier.form.mail import MailFacts, render
from notifier.merge_fields import SAMPLE_ACCOUNT, SAMPLE_FUNDS
from notifier.template import warnings
from notifier.words.catalogue import TEMPLATE_NAMES, Catalogue


class ShownTemplate(NamedTuple):
    """A template of a language, and a mail that it makes. `own`: from `folder`; else packaged."""

    template: str
    language: str
    own: bool
    folder: str
    subject: str
    text: str
    html: str
    warnings: list[str]


def shown_templates(
    catalogue: Catalogue, layout: Layout, folder: str, now: datetime
) -> list[ShownTemplate]:
    """Each template in each language; `folder` is where the operator's own ones are."""
    found, form = [], layout.for_samples()
    for language in sorted(catalogue.languages):
        account = replace(SAMPLE_ACCOUNT, language=language)
        for name in TEMPLATE_NAMES:
            mail = render(MailFacts(name, account, SAMPLE_FUNDS, now), catalogue, form)
            found.append(
                ShownTemplate(
                    name,
                    language,
                    (language, name) in catalogue.own,
                    folder,
                    mail.subject,
                    mail.text,
                    mail.html,
                    list(warnings(catalogue.template(name, language))),
                )
            )
    return found
