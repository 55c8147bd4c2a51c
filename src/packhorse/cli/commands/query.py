"""``packhorse query``: rows of a portal's tables."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import click

from packhorse.cli.context import State, command
from packhorse.cli.rows import (
    kind_of,
    limit_option,
    output_options,
    piped,
    preview,
    rows_of,
    say_notes,
    say_written,
)
from packhorse.cli.texts import Column, count
from packhorse.errors import UsageError
from packhorse.wire.immport.filters import FILTERS
from packhorse.wire.immport.queries import QUERIES

__all__ = ["query_command"]

_OTHERS: Final = ("fileType", "programIds", "compoundRole", "pivotTable")
_NAMES: Final = (*FILTERS, *_OTHERS)
_BY_FOLD: Final = {name.lower(): name for name in _NAMES}


def _meant(word: str) -> str:
    """An option's name however its capitals and hyphens stand: ``study-accession`` is ``studyAccession``."""
    return _BY_FOLD.get(word.lower().replace("-", "").replace("_", ""), word)


def _filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """An option for every filter, hidden: ``--filters`` shows them with what they compare."""
    for name in reversed(_NAMES):
        told = f"Only rows whose {name} is one of these (--filters tells more)."
        function = click.option(f"--{name}", name, multiple=True, hidden=True, metavar="VALUE,…", help=told)(function)
    return function


@command(
    "query",
    examples="""
    packhorse query immport elisa --studyAccession SDY2,SDY4
    packhorse query immport elisa --studyAccession SDY2,SDY4 -o elisa.parquet
    packhorse query immport pcr --studyAccession SDY139 --gender Female --minSubjectAgeGte 18 --format csv
    packhorse query immport study/arm --studyAccession SDY2 --json
    packhorse query --list
    packhorse query --filters
    """,
)
@click.argument("remote", required=False)
@click.argument("name", required=False)
@_filter_options
@output_options
@limit_option
@click.option("--force", is_flag=True, help="Send values that no vocabulary has as they are.")
@click.option("--text", multiple=True, metavar="MEMBER", help="Read this member as text; repeat for more.")
@click.option(
    "--wire",
    type=click.Choice(("auto", "json", "tsv")),
    default="auto",
    help="How rows travel. JSON keeps null and empty text apart, TSV is smaller and faster.",
)
@click.option("--list", "list_them", is_flag=True, help="List the queries.")
@click.option("--filters", "list_filters", is_flag=True, help="List the filters, and what each compares.")
def query_command(
    state: State,
    *,
    remote: str | None,
    name: str | None,
    kind: str | None,
    target: str | None,
    overwrite: bool,
    limit: int | None,
    force: bool,
    text: tuple[str, ...],
    wire: str,
    list_them: bool,
    list_filters: bool,
    **given: tuple[str, ...],
) -> None:
    """Fetch the rows of query NAME at REMOTE: assay results, study data, lookups.

    Rows are chosen by filters, --studyAccession SDY2,SDY4 and the like: several values of one filter mean any of them,
    different filters all of them; --filters lists them. On a terminal the first rows are shown; in a pipe all rows go
    out as TSV, or as --format says; -o writes them to a file, in bounded memory.
    """
    if list_filters:
        _show_filters(state)
        return
    if list_them or remote is None or name is None:
        if not list_them:
            wanted = "a remote and a query" if remote is None else "a query"
            raise UsageError(f"{wanted} must be named", hint="packhorse query immport elisa --studyAccession SDY2")
        _show_queries(state)
        return
    filters: dict[str, Any] = {name: values for name, values in given.items() if values}
    wishes: dict[str, Any] = {"text": text, "limit": limit, "force": force, "wire": wire, **filters}
    form = kind_of(state, kind, target)
    session = state.session
    if form is not None and target not in (None, "-"):
        written = session.write_query(remote, name, str(target), kind=form, overwrite=overwrite, **wishes)
        say_written(state, written, str(target), form)
        return
    if form is not None:
        with piped(state) as out:
            written = session.write_query(remote, name, out, kind=form, **wishes)
            say_notes(state, written.notes)
            if not written.rows:
                state.output.note("no row matches")
        return
    with closing(session.query_batches(remote, name, **wishes)) as batches:
        if state.output.mode == "json":
            for row in rows_of(batches):
                state.output.data("row", {"row": row})
        else:
            preview(state, rows_of(batches), None)


query_command.context_settings["token_normalize_func"] = _meant


def _show_queries(state: State) -> None:
    rows = []
    for query in QUERIES.values():
        needs = [f"--{name}" for name in query.accessions]
        members = len(query.model.members) if query.model is not None else None
        state.output.data("query", {"name": query.name, "path": query.path, "needs": needs, "members": members})
        state.output.value(query.name)
        rows.append([query.name, str(members or ""), " ".join(needs), "yes" if query.needs_token else ""])
    columns = (Column("query"), Column("columns", right=True), Column("asked with", flexible=True), Column("sign-in"))
    state.output.table(columns, rows)
    state.output.line(f"{count(len(rows), 'query', 'queries')}; results take the filters of --filters", "dim")


def _show_filters(state: State) -> None:
    words = {"exact": "is", "substring": "has"}
    rows = []
    for each in FILTERS.values():
        fields = {"name": each.name, "member": each.member, "match": each.match, "vocabulary": each.vocabulary}
        state.output.data("filter", {**fields, "single": each.single})
        state.output.value(each.name)
        compared = f"{each.member} {words.get(each.match, each.match)}"
        rows.append([f"--{each.name}", compared, "one value" if each.single else "any of", each.vocabulary])
    columns = (Column("filter"), Column("compares", flexible=True), Column("values"), Column("vocabulary"))
    state.output.table(columns, rows)
    state.output.line(
        f"{count(len(rows), 'filter')} of assay results; packhorse lookup REMOTE NAME shows a vocabulary", "dim"
    )
