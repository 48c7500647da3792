"""The word list: words and phrases that readers stumble over, and what to write instead.

`python -m tests.support.plain_words` reads the files that git knows and prints each hit. The list
is plain_words.toml beside this module. A folder that still has hits is listed there with their
number, which may only become smaller: the check fails where a folder has more.
"""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORD_LIST = Path(__file__).with_suffix(".toml")
READ = (".py", ".md", ".toml", ".yaml")
# Between two words of a phrase: also the end of a line of a comment.
GAP = r"[\s#]+"


@dataclass(frozen=True)
class Hit:
    """A word of the list in a file. `line` counts from 1."""

    path: str
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: "{self.found}": write {self.instead}'


@dataclass(frozen=True)
class Entry:
    """A word or phrase in all its forms.

    `unless` has phrases that contain a form and are plain. `is_name` limits the entry to the exact
    case, for a type's name that is a plain word elsewhere.
    """

    forms: tuple[str, ...]
    instead: str
    unless: tuple[str, ...] = ()
    is_name: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds a form, or in the group `plain` a phrase that is plain. `_` divides words."""
        plain, forms = (alternatives(phrases) for phrases in (self.unless, self.forms))
        either = f"(?P<plain>{plain})|{forms}" if plain else forms
        flags = re.NOFLAG if self.is_name else re.IGNORECASE
        return re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", flags)

    def hits(self, path: str, text: str) -> Iterator[Hit]:
        """The hits of this entry in a text, first to last."""
        for match in self.pattern.finditer(text):
            if not match.groupdict().get("plain"):
                found = " ".join(match.group().replace("#", " ").split())
                yield Hit(path, text.count("\n", 0, match.start()) + 1, found, self.instead)


def alternatives(phrases: Iterable[str]) -> str:
    """A pattern of phrases, longest first."""
    escaped = [GAP.join(map(re.escape, phrase.split())) for phrase in phrases]
    return "|".join(sorted(escaped, key=len, reverse=True))


@dataclass(frozen=True)
class WordList:
    """What is looked for, where it is not, and how many hits each folder may still have."""

    entries: tuple[Entry, ...]
    not_read: tuple[str, ...] = ()
    allowed: tuple[tuple[str, int], ...] = ()

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "WordList":
        """A word list from its TOML document.

        Raises:
            KeyError: if an entry lacks `forms` or `instead`.
        """
        entries = tuple(
            Entry(
                tuple(entry["forms"]),
                entry["instead"],
                tuple(entry.get("unless", ())),
                entry.get("is_name", False),
            )
            for entry in document["words"]
        )
        not_read = tuple(document.get("not_read", ()))
        return cls(entries, not_read, tuple(document.get("allowed_hits", {}).items()))

    def reads(self, path: str) -> bool:
        """Whether a file, by its path from the root, is checked."""
        name = path.rpartition("/")[2]
        written = name.endswith(READ) or name == "Makefile"
        return written and not any(is_below(path, folder) for folder in self.not_read)

    def hits(self, path: str, text: str) -> list[Hit]:
        """All hits in a text, by line."""
        found = [hit for entry in self.entries for hit in entry.hits(path, text)]
        return sorted(found, key=lambda hit: hit.line)

    def folder_of(self, path: str) -> str:
        """The longest listed folder that holds a file; its own path if none does."""
        holding = [folder for folder, _ in self.allowed if is_below(path, folder)]
        return max(holding, key=len, default=path)


def is_below(path: str, folder: str) -> bool:
    """Whether a path is this folder or file, or in it."""
    return path == folder or path.startswith(f"{folder}/")


@dataclass(frozen=True)
class Report:
    """`too_many`: hits of folders that have more than they may. `lower`: folders that may have
    more than they do, with what they have.
    """

    too_many: tuple[Hit, ...]
    lower: tuple[tuple[str, int], ...]


def check(words: WordList, texts: Iterable[tuple[str, str]]) -> Report:
    """Compare the hits of each folder with its number. `texts` are paths and their contents."""
    hits = [hit for path, text in texts if words.reads(path) for hit in words.hits(path, text)]
    counts = Counter(words.folder_of(hit.path) for hit in hits)
    allowed = dict(words.allowed)
    too_many = [
        hit
        for hit in hits
        if counts[words.folder_of(hit.path)] > allowed.get(words.folder_of(hit.path), 0)
    ]
    lower = [(folder, counts[folder]) for folder, most in words.allowed if counts[folder] < most]
    return Report(tuple(too_many), tuple(lower))


def texts_known_to_git(root: Path) -> Iterator[tuple[str, str]]:
    """Path and content of each text file that git tracks and that still exists.

    Raises:
        subprocess.CalledProcessError: if this is no git repository.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = root / name
        if path.is_file() and (path.suffix in READ or path.name == "Makefile"):
            yield name, path.read_text(encoding="utf-8")


def main() -> int:
    """Print the report of this repository; 1 if a folder has too many hits."""
    words = WordList.parse(tomllib.loads(WORD_LIST.read_text(encoding="utf-8")))
    report = check(words, texts_known_to_git(ROOT))
    for hit in report.too_many:
        print(hit)
    for folder, count in report.lower:
        print(f"{WORD_LIST.relative_to(ROOT)}: {folder} has {count} hits; lower its number")
    if report.too_many:
        folders = Counter(words.folder_of(hit.path) for hit in report.too_many)
        allowed = dict(words.allowed)
        for folder, count in folders.items():
            print(f"{folder}: {count} hits, at most {allowed.get(folder, 0)}")
    return 1 if report.too_many else 0


if __name__ == "__main__":
    sys.exit(main())
