"""The word list finds each form, leaves plain phrases alone, and lets no folder get worse."""

import tomllib
from collections.abc import Iterator

import pytest

from tests.support import plain_words
from tests.support.plain_words import WordList, check

LIST = WordList.parse(
    {
        "not_read": ["pages/generated.md", "old"],
        "words": [
            {"forms": ["mend", "mended"], "instead": "fix"},
            {"forms": ["stands"], "instead": "exists", "unless": ["stands for"]},
            {"forms": ["can not"], "instead": "cannot"},
            {"forms": ["Books"], "instead": "ReferenceData", "is_name": True},
        ],
        "allowed_hits": {"code": 1, "code/rating": 2},
    }
)


def found(text: str) -> list[tuple[int, str]]:
    return [(hit.line, hit.found) for hit in LIST.hits("a.py", text)]


@pytest.mark.parametrize("text", ["is Mended.", "mended_by = 1", "(mended)", "_mended"])
def test_a_word_is_found_in_text_and_between_underscores(text: str) -> None:
    assert [word.lower() for _, word in found(text)] == ["mended"]


@pytest.mark.parametrize("text", ["amended", "mender", "CSV stands for values", "the books"])
def test_other_words_and_plain_phrases_are_not_hits(text: str) -> None:
    assert found(text) == []


def test_a_phrase_is_found_across_the_lines_of_a_comment() -> None:
    assert found("# what it can\n# not do\n# stands") == [(1, "can not"), (3, "stands")]


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("pages/a.md", True),
        ("Makefile", True),
        ("pyproject.toml", True),
        ("pages/a.sql", False),
        ("pages/generated.md", False),
        ("old/a.py", False),
        ("older/a.py", True),
    ],
)
def test_files_are_chosen_by_their_ending_and_folder(path: str, read: bool) -> None:
    assert LIST.reads(path) is read


def texts(**words: int) -> Iterator[tuple[str, str]]:
    """A file in each folder, with so many hits: `code__rating=2`."""
    for folder, count in words.items():
        yield f"{folder.replace('__', '/')}/a.py", "mend\n" * count


def test_a_folder_with_as_many_hits_as_it_may_have_passes() -> None:
    report = check(LIST, texts(code__rating=2, code__accounts=1))
    assert (report.too_many, report.lower) == ((), ())


def test_each_hit_of_a_folder_with_more_is_reported_with_what_to_write() -> None:
    report = check(LIST, texts(code__rating=3, code__accounts=1))
    assert [str(hit) for hit in report.too_many] == [
        f'code/rating/a.py:{line}: "mend": write fix' for line in (1, 2, 3)
    ]


def test_a_folder_that_is_not_listed_may_have_none() -> None:
    assert [hit.path for hit in check(LIST, texts(pages=1)).too_many] == ["pages/a.py"]


def test_a_number_that_can_be_lowered_is_reported() -> None:
    assert check(LIST, texts(code__rating=1)).lower == (("code", 0), ("code/rating", 1))


def test_the_command_names_the_place_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plain_words, "texts_known_to_git", lambda _: [("new/a.md", "\nunwell")])
    assert plain_words.main() == 1
    printed = capsys.readouterr().out
    assert 'new/a.md:2: "unwell": write what is wrong' in printed
    assert printed.endswith("new/a.md: 1 hits, at most 0\n")


def test_every_form_of_the_list_is_found_by_its_own_entry() -> None:
    words = WordList.parse(tomllib.loads(plain_words.WORD_LIST.read_text(encoding="utf-8")))
    missed = [
        form
        for entry in words.entries
        for form in entry.forms
        if not list(entry.hits("a.md", f"It {form}."))
    ]
    assert missed == []
