"""Migrations since the latest release only add: the release's services still run."""

from pathlib import Path

import pytest

from tests.support.additive import subtractions
from tests.support.previous_release import NotHere, has_adr, previous, same_major

ROOT = Path(__file__).parents[2]
FOLDER = "deploy/migrations"
FILES = sorted((ROOT / FOLDER).glob("*.sql"))


def test_released_migrations_are_unchanged() -> None:
    """An applied file is never edited, and none is inserted before it."""
    release = previous()
    try:
        released = release.tree(FOLDER)
    except NotHere as why:
        pytest.skip(f"nothing to compare with release {release.version}: {why}")
    assert max(released) == f"{FOLDER}/{release.last_migration}"
    now = {f"{FOLDER}/{file.name}": file.read_bytes() for file in FILES}
    assert {name: now.get(name) for name in released} == released
    assert [name for name in now if name not in released and name < max(released)] == []


def test_migrations_since_the_previous_release_only_add() -> None:
    release = previous()
    assert release.last_migration in {file.name for file in FILES}
    if not same_major(release):
        pytest.skip(f"another major than {release.version}")
    since = [file.read_text() for file in FILES if file.name > release.last_migration]
    unexplained = [
        f"{statement}: {what}; put back what it takes away, or say `-- not additive: ADR NNNN`"
        for statement, what, adr in subtractions(since)
        if adr is None or not has_adr(adr)
    ]
    assert unexplained == []


@pytest.mark.parametrize(
    "statement",
    [
        "drop table a.b;",
        "drop view report.level;",
        "drop index a.b_index;",
        "drop function a.f(int);",
        "truncate a.b;",
        "delete from a.b where c = 1;",
        "revoke select on a.b from ringfence_rating;",
        "alter table a.b drop column c;",
        "alter table a.b drop constraint c;",
        "alter table a.b rename to c;",
        "alter table a.b rename column c to d;",
        "alter index a.b rename to c;",
        "alter table a.b set schema c;",
        "alter table a.b alter column c type bigint;",
        "alter table a.b alter c set data type bigint;",
        "alter table a.b alter column c set not null;",
        "alter table a.b alter column c drop not null;",
        "alter table a.b alter column c drop default;",
        "alter table a.b add column c int not null;",
        "alter table a.b add c int not null;",
        "alter table a.b add column d int, add column c int not null, add column e int;",
        "ALTER TABLE only a.b\n  ADD COLUMN c numeric(10, 2)\n  NOT NULL;",
        "alter table a.b add column c int unique;",
        "alter table a.b add constraint c check (d > 0);",
        "create unique index c on a.b (d);",
        "create trigger c before insert on a.b execute function f();",
        "-- a comment; with a semicolon\nalter table a.b drop column c;",
        "update a.b set c = ';';@ drop table a.b;",
        "do $$@ begin alter table a.b drop column c; end $$;",
        "do $$@ begin if true then execute 'drop table a.b'; end if; end $$;",
    ],
)
def test_a_removing_statement_is_found_unless_it_is_marked(statement: str) -> None:
    """The mark goes before the statement: where the case has an @, or at its beginning."""
    ((_, _, adr),) = subtractions([statement.replace("@", "")])
    assert adr is None
    mark = "\n-- not additive: ADR 0001, as it says\n"
    marked = statement.replace("@", mark) if "@" in statement else mark + statement
    assert [number for _, _, number in subtractions([marked])] == ["0001"]


@pytest.mark.parametrize(
    "statement",
    [
        "create table a.b (c int not null unique, d int references e);",
        "create table a.b (c int); alter table a.b drop column c; drop table a.b;",
        "create table a.b (c int); create unique index d on a.b (c);",
        "alter table a.b add column c int;",
        "alter table a.b add column c int not null default 0;",
        "alter table a.b add column c text default 'drop table', add column d int;",
        "alter table a.b add column c bigint not null generated always as identity;",
        "create index c on a.b (d) where d is not null;",
        "create or replace view report.level as select 1;",
        "create function a.f() returns int language sql as $$ delete from a.b; select 1 $$;",
        "insert into a.b values ('drop table a.b;');",
        "update a.b set c = 1 where d is not null;",
        "grant select on a.b to ringfence_rating;",
        "comment on table a.b is 'renamed';",
        "-- drop table a.b;\n/* drop table a.b; */",
    ],
)
def test_an_adding_statement_is_allowed(statement: str) -> None:
    assert list(subtractions([statement])) == []
