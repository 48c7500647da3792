"""A table in which one column is folded: it fits, and no cell loses a character."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ringfence_cli.grid import GridColumn, grid_lines

COLUMNS = (GridColumn("kind"), GridColumn("what"), GridColumn("amount", right=True))


def grid(*rows: tuple[str, str, str], width: int = 40) -> list[str]:
    return list(grid_lines(COLUMNS, rows, folds="what", headed=True, width=width))


def test_a_long_text_is_folded_between_words_below_its_column() -> None:
    assert grid(("charge", "outbound 88165501000, 180 s", "-5.40"), width=36) == [
        "kind    what                  amount",
        "──────  ────────────────────  ──────",
        "charge  outbound               -5.40",
        "        88165501000, 180 s",
    ]


def test_numbers_are_aligned_at_the_right() -> None:
    lines = grid(("a", "b", "-1234567.89"), ("a", "b", "1.00"))
    assert [len(line) for line in lines] == [23] * 4


def test_a_number_is_never_cut_even_where_the_table_becomes_too_wide() -> None:
    lines = grid(("adjustment", "words and more words", "-9999999999.999999"), width=30)
    assert any(line.endswith("-9999999999.999999") for line in lines)


def test_rows_without_a_head_are_only_rows() -> None:
    columns = (GridColumn("label"), GridColumn("text"))
    rows = [("outcome", "charged"), ("", ""), ("account", "1001")]
    assert list(grid_lines(columns, rows, folds="text", headed=False, width=80)) == [
        "outcome  charged",
        "",
        "account  1001",
    ]


def test_characters_that_move_the_cursor_are_not_printed() -> None:
    assert "\x1b" not in "".join(grid(("a", "\x1b[2Jx\ny", "1")))


plain = st.text(st.characters(categories=("Lu", "Ll", "Lo", "Nd"), include_characters=" -"))


@given(what=plain, amount=st.decimals(-(10**9), 10**9, places=6).map(str))
def test_a_table_is_at_most_80_columns_wide(what: str, amount: str) -> None:
    lines = grid(("adjustment", what, amount), width=80)
    assert max(map(cell_len, lines)) <= 80
    assert amount in lines[2]


@given(text=plain)
def test_a_folded_text_keeps_every_character(text: str) -> None:
    lines = grid_lines((GridColumn("what"),), [(text,)], folds="what", headed=False, width=20)
    assert "".join("".join(lines).split()) == "".join(text.split())
