"""The templates and fixed texts of each language, and the choice between them for a client."""

from collections.abc import Mapping
from dataclasses import dataclass

from notifier.template import Template

LOW_BALANCE_ALERT = "Low Balance Alert"
VOIP_ZERO_BALANCE = "VoIP Zero Balance"
VOIP_RESTORED = "VoIP Restored"
YOUR_PAGE = "Your Page"
TEMPLATE_NAMES = (LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE, VOIP_RESTORED, YOUR_PAGE)
LAYOUT_WORDS = ("name", "off", "add_funds", "reason", "unsubscribe", "unsubscribe_by_reply")
"""The fixed texts that each language has in addition to its templates."""

LATER_WORDS = ("own_page",)
LATER_TEMPLATES = (YOUR_PAGE,)
"""What languages of an operator from before may lack: English is used for it."""


@dataclass(frozen=True)
class LanguagePack:
    """The content of a language file: `words` by LAYOUT_WORDS, and all templates by name."""

    code: str
    words: Mapping[str, str]
    templates: Mapping[str, Template]


@dataclass(frozen=True)
class Catalogue:
    """All languages. `own` are the operator's templates, by language and name."""

    default: str
    languages: Mapping[str, LanguagePack]
    own: Mapping[tuple[str, str], Template]

    def language(self, code: str) -> LanguagePack:
        """The language for a client's code (`fr`, `fr-CA`, empty), or the default language."""
        wanted = code.strip().lower().replace("-", "_")
        for candidate in (wanted, wanted.partition("_")[0]):
            if candidate in self.languages:
                return self.languages[candidate]
        return self.languages[self.default]

    def template(self, name: str, code: str, *, service_is_off: bool = True) -> Template:
        """The operator's template in the client's language, or else the packaged one.

        If the service is not off, an operator's template without the field `service_is_off` is not
        used, because it would say that the service is off.
        """
        language = self.language(code)
        own = self.own.get((language.code, name))
        if own is not None and (service_is_off or own.names("service_is_off")):
            return own
        return language.templates[name]
