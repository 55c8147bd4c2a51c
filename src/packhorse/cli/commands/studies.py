"""``packhorse studies``: search a portal's studies, and show one."""

from __future__ import annotations

from typing import Any

import click

from packhorse.cli.commands.browse import record_lines
from packhorse.cli.context import Group, State, command, global_options
from packhorse.cli.rows import give_table, limit_option, output_options
from packhorse.cli.texts import count
from packhorse.errors import NotFoundError, UsageError

__all__ = ["studies_command"]


@click.group("studies", cls=Group)
@global_options(hidden=True)
def studies_command() -> None:
    """Search a portal's studies, and show one."""


@command(
    "search",
    group=studies_command,
    examples="""
    packhorse studies search immport "influenza vaccine"
    packhorse studies search immport asthma --facet sex=Female --facet researchFocus=Allergy
    packhorse studies search immport "" --facet assayMethod=ELISA -o studies.csv
    """,
)
@click.argument("remote")
@click.argument("term", required=False, default="")
@click.option("--facet", "facets", multiple=True, metavar="NAME=VALUE,…", help="Only what has any of these values.")
@click.option("--subjects", is_flag=True, help="Search subjects instead.")
@click.option("--sort", default="", metavar="MEMBER", help="Sort by this member of the hits.")
@click.option("--descending", is_flag=True, help="With --sort: largest first.")
@click.option("--counts", is_flag=True, help="Show the counts of the facets instead of the hits.")
@limit_option
@output_options
def search_(
    state: State,
    *,
    remote: str,
    term: str,
    facets: tuple[str, ...],
    subjects: bool,
    sort: str,
    descending: bool,
    counts: bool,
    limit: int | None,
    kind: str | None,
    target: str | None,
    overwrite: bool,
) -> None:
    """Search the studies of REMOTE for TERM: words match inside words, "in double quotes" is a phrase."""
    from packhorse.tables import Table

    wishes: dict[str, Any] = {"sort": sort, "descending": descending, "limit": limit, **_facets(facets)}
    what = "subject" if subjects else "study"
    found = state.session.search(remote, term, kind=what, **wishes)
    if counts:
        rows = [
            {"facet": facet, "value": value, what + "_count": number}
            for facet, values in found.facets.items()
            for value, number in values.items()
        ]
    else:
        rows = [
            {f"{what}_accession": hit.id, **{name: _flat(value) for name, value in hit.record.items()}}
            for hit in found.hits
        ]
    table = Table.from_records(rows)
    give_table(state, table, kind, target, overwrite=overwrite, what="value" if counts else "hit")
    if found.total > len(found.hits) and not counts:
        state.output.note(f"{len(found.hits):,} of {count(found.total, 'hit')}: --limit", "dim")


def _flat(value: Any) -> Any:
    """A list of texts as one text; anything else as it is."""
    listed = isinstance(value, list) and all(isinstance(part, str) for part in value)
    return "; ".join(value) if listed else value


def _facets(given: tuple[str, ...]) -> dict[str, list[str]]:
    """``NAME=VALUE,…`` words by name. Raises :class:`UsageError`."""
    found: dict[str, list[str]] = {}
    for word in given:
        name, equals, values = word.partition("=")
        if not equals or not values.strip():
            raise UsageError(f"{word!r} is no facet", hint="write it as --facet sex=Female")
        found.setdefault(name.strip(), []).extend(value.strip() for value in values.split(",") if value.strip())
    return found


@command("show", group=studies_command, examples="packhorse studies show immport SDY2")
@click.argument("remote")
@click.argument("accession")
def show_(state: State, remote: str, accession: str) -> None:
    """Show what REMOTE records about the study ACCESSION."""
    from packhorse.wire.immport.filters import check_study

    address = f"{remote.removesuffix(':')}:{check_study(accession)}"
    record = state.session.info(address)
    if not record:
        raise NotFoundError(f"{address}: nothing is known", hint=f"packhorse studies search {remote}")
    state.output.data("record", {"address": address, "record": record})
    for line in record_lines(record, 0):
        state.output.line(line)
