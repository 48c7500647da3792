"""Loads templates: the packaged language files, and the operator's own templates and languages.

The operator's folder contains templates copied from WHMCS, each named after its template (`Low
Balance Alert.tpl`, in another language `Low Balance Alert.fr.tpl`), and files of languages that
are not packaged (`de.toml`).
"""

import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from notifier.template import Template, parse_template
from notifier.words.amounts import is_language
from notifier.words.catalogue import (
    LATER_TEMPLATES,
    LATER_WORDS,
    LAYOUT_WORDS,
    LOW_BALANCE_ALERT,
    TEMPLATE_NAMES,
    VOIP_ZERO_BALANCE,
    Catalogue,
    LanguagePack,
)
from ringfence_contracts.errors import BadInput

REQUIRED = (LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE)
"""A folder with any template must have these, so that a misspelt file name is noticed."""

PACKAGED = Path(str(files("notifier") / "languages"))
"""The packaged languages, without any company's name."""


def load_templates(folder: Path | None) -> Mapping[str, Template]:
    """The templates of the default language, by name. Raises BadInput as load_catalogue does."""
    catalogue = load_catalogue(folder)
    return {name: catalogue.template(name, catalogue.default) for name in TEMPLATE_NAMES}


def load_catalogue(
    folder: Path | None, *, language: str = "en", subjects: Mapping[str, str] | None = None
) -> Catalogue:
    """All templates: the packaged languages, and further ones and own templates from `folder`.

    `language` is the default one. `subjects` are the subjects of own templates without a line
    `Subject:`, by template; the default is the subject of the language. Raises BadInput if a file
    is missing, exists twice, or is invalid: the service then does not start.
    """
    found = _languages(PACKAGED) | (_languages(folder) if folder else {})
    if language not in found:
        known = ", ".join(sorted(found))
        raise BadInput(
            "notifier_language", language, f"one of {known}, or a file {language}.toml in"
            " notifier_templates_dir"
        )  # fmt: skip
    own = _own_templates(folder, language, found, subjects or {}) if folder else {}
    return Catalogue(language, found, own)


def _languages(folder: Path) -> dict[str, LanguagePack]:
    return {path.stem.lower(): load_language(path) for path in sorted(folder.glob("*.toml"))}


def load_language(path: Path) -> LanguagePack:
    """The language in a file such as `fr.toml`. Raises BadInput if a part is missing or invalid."""
    code = path.stem.lower()
    field = f"language file {path.name!r}"
    if not is_language(code):
        raise BadInput(field, code, "a name that is a language's code, such as fr.toml")
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(field, str(error), "a file in TOML, such as the packaged en.toml") from None
    words = _table(content, "words", field)
    given = _table(content, "templates", field)
    if path.parent != PACKAGED:
        words, given = _with_later(words, given)
    missing = [
        word for word in (*LAYOUT_WORDS, *LATER_WORDS) if not isinstance(words.get(word), str)
    ]
    if missing:
        raise BadInput(f"{field}, [words]", sorted(words), f"texts for {', '.join(missing)} too")
    return LanguagePack(
        code,
        {word: words[word] for word in (*LAYOUT_WORDS, *LATER_WORDS)},
        {name: _from_table(given.get(name), name, field) for name in TEMPLATE_NAMES},
    )


def _with_later(
    words: Mapping[str, Any], templates: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The parts of an operator's language, with the English ones that it was written before."""
    english = tomllib.loads(read_text(PACKAGED / "en.toml"))
    return (
        {**{name: english["words"][name] for name in LATER_WORDS}, **words},
        {**{name: english["templates"][name] for name in LATER_TEMPLATES}, **templates},
    )


def _table(content: Mapping[str, Any], name: str, field: str) -> Mapping[str, Any]:
    table = content.get(name)
    if not isinstance(table, dict):
        raise BadInput(field, sorted(content), f"a table [{name}]")
    return table


def _from_table(given: Any, name: str, field: str) -> Template:
    if not isinstance(given, dict) or not all(
        isinstance(given.get(part), str) for part in ("subject", "body")
    ):
        raise BadInput(
            f"{field}, [templates]", name, f'a table [templates."{name}"] with subject and body'
        )
    return parse_template(name, given["body"], subject=given["subject"])


def _own_templates(
    folder: Path,
    default: str,
    languages: Mapping[str, LanguagePack],
    subjects: Mapping[str, str],
) -> dict[tuple[str, str], Template]:
    paths = _template_files(folder)
    if not paths and any(folder.glob("*.toml")):
        return {}
    own: dict[tuple[str, str], Template] = {}
    for name in TEMPLATE_NAMES:
        for code in languages:
            matching = [
                path for path in paths if _is_for(path.name, name, code, default, languages)
            ]
            if len(matching) > 1 or (not matching and code == default and name in REQUIRED):
                raise _not_one(name, code, matching, folder)
            if matching:
                inherited = languages[code].templates[name]
                own[code, name] = load_template(
                    matching[0], name=name, subject=subjects.get(name, ""), inherited=inherited
                )
    return own


def _is_for(
    file: str, name: str, code: str, default: str, languages: Mapping[str, LanguagePack]
) -> bool:
    """Whether a file is the template `name` in the language `code`: `name.fr` or `name.fr.tpl`."""
    if file != name and not file.startswith(f"{name}."):
        return False
    named = file[len(name) + 1 :].partition(".")[0].lower()
    return (named if named in languages else default) == code


def _template_files(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix != ".toml")
    except OSError as error:
        raise BadInput("notifier_templates_dir", str(folder), f"a folder ({error})") from None


def _not_one(name: str, code: str, matching: Iterable[Path], folder: Path) -> BadInput:
    return BadInput(
        "templates folder",
        [path.name for path in matching],
        f"exactly one file named {name!r} (with any ending) for the language {code!r} in {folder}",
    )


def load_template(
    path: Path, *, name: str = "", subject: str = "", inherited: Template | None = None
) -> Template:
    """The template in the file `path`. Raises BadInput if it is invalid or unreadable.

    Without a line `Subject:` in the file the subject is `subject`, or that of `inherited`.
    """
    name = name or name_of(path)
    template = parse_template(name, read_text(path), subject=subject)
    if inherited and not subject and template.has_no_subject:
        return template.with_subject_of(inherited)
    return template


def name_of(path: Path) -> str:
    """The template's name, from a file name such as `Low Balance Alert.fr.tpl`."""
    for name in TEMPLATE_NAMES:
        if path.name == name or path.name.startswith(f"{name}."):
            return name
    return path.stem


def read_text(path: Path) -> str:
    """A file's text. Raises BadInput if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("template", str(path), f"a file of UTF-8 text ({error})") from None
