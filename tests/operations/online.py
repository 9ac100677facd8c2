"""What in a migration stops a running service, and the migration linter does not see.

It looks at the SQL that a migration comes to, so that it is all the same how it was written.
"""

import re
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

NAME = r'(?:"?public"?\.)?"?(?P<table>\w+)"?'
CREATED = re.compile(rf"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?{NAME}", re.I)
ALTERED = re.compile(rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{NAME} (?P<act>.*)", re.I | re.S)

# A scan of the table while nobody may write (the PostgreSQL manual, "ALTER TABLE").
UNPROVED = re.compile(r"ADD (?:CONSTRAINT \S+ )?(?P<kind>FOREIGN KEY|CHECK)\b(?!.*NOT VALID)", re.I | re.S)
UNIQUE = re.compile(r"ADD (?:CONSTRAINT \S+ )?(?:UNIQUE|PRIMARY KEY)\b(?!.*USING INDEX)", re.I | re.S)
COLUMN = re.compile(r'ADD COLUMN (?:IF NOT EXISTS )?"?(?P<column>\w+)"? (?P<what>.*)', re.I | re.S)
NOT_NULL = re.compile(r'ALTER COLUMN "?(?P<column>\w+)"? SET NOT NULL', re.I)
NO_DEFAULT = re.compile(r'ALTER COLUMN "?(?P<column>\w+)"? DROP DEFAULT', re.I)


def statements(migration: Migration, state: ProjectState) -> list[str]:
    """The SQL of a migration on top of a state, which moves on. What Python does in it is left out."""
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        migration.apply(state, editor, collect_sql=True)
    whole = "\n".join(line for line in editor.collected_sql if not line.startswith("--"))
    return [" ".join(each.split()) for each in re.split(r";\s*(?:\n|$)", whole) if each.strip()]


def faults(sql: list[str]) -> list[str]:
    """In a migration's statements: what keeps others from working, on tables that were there before."""
    fresh = {found["table"] for each in sql if (found := CREATED.match(each))}
    altered = [found for each in sql if (found := ALTERED.match(each)) and found["table"] not in fresh]
    dropped = {(each["table"], found["column"]) for each in altered if (found := NO_DEFAULT.search(each["act"]))}
    return [fault for each in altered for fault in faults_of(each["table"], each["act"], dropped)]


def faults_of(table: str, act: str, dropped: set[tuple[str, str]]) -> Iterator[str]:
    if found := COLUMN.match(act):
        yield from faults_of_column(table, found["column"], found["what"], (table, found["column"]) in dropped)
    elif found := UNPROVED.search(act):
        yield f"{table}: {found['kind'].upper()} without NOT VALID"
    elif UNIQUE.search(act):
        yield f"{table}: UNIQUE that makes its own index"
    elif found := NOT_NULL.search(act):
        yield f"{table}.{found['column']}: SET NOT NULL looks at every row"


def faults_of_column(table: str, column: str, what: str, loses_default: bool) -> Iterator[str]:
    keeps_default = re.search(r"\b(?:DEFAULT|GENERATED)\b", what, re.I) and not loses_default
    if re.search(r"\bNOT NULL\b", what, re.I) and not keeps_default:
        yield f"{table}.{column}: NOT NULL without db_default, which the version before does not fill"
    if re.search(r"\bREFERENCES\b", what, re.I):
        yield f"{table}.{column}: FOREIGN KEY without NOT VALID"
    if re.search(r"\bCHECK\b", what, re.I):
        yield f"{table}.{column}: CHECK without NOT VALID"


def all_faults(apps: set[str]) -> dict[str, list[str]]:
    """Of every migration of these apps, from an empty database on."""
    executor = MigrationExecutor(connection)
    plan: list[Any] = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    state, found = ProjectState(), {}
    for migration, _backwards in plan:
        if migration.app_label in apps:
            found[f"{migration.app_label}.{migration.name}"] = faults(statements(migration, state))
        else:
            migration.mutate_state(state, preserve=False)
    return {name: those for name, those in found.items() if those}
