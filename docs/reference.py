"""Writes ``docs/cli.md`` and ``docs/events.schema.json`` from the program itself: ``python docs/reference.py``.

A test compares both with what stands in the repository, so that neither can fall behind.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

DOCS = Path(__file__).parent
HEAD = """# Command line

<!-- written by docs/reference.py from the program itself; do not edit -->

Every command takes the options of the first section, before or after its name. What the exit codes mean:
{doc}`exit-codes`; what `--json` prints: {doc}`events`.
"""


def cli_markdown() -> str:
    """The whole command line as Markdown: independent of how click lays help out."""
    from packhorse.cli.app import packhorse_command

    lines = [HEAD, "## Options of every command\n", *_options(packhorse_command, hidden_too=False)]
    for path, command in _walk(packhorse_command, "packhorse"):
        lines += _command(path, command)
    return "\n".join(lines).rstrip() + "\n"


def _walk(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    ctx = click.Context(group, info_name=path)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _walk(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _command(path: str, command: click.Command) -> list[str]:
    words = [path, "[OPTIONS]"]
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            name = parameter.metavar or (parameter.name or "").upper()
            words.append(name if parameter.required or "[" in name else f"[{name}]")
    lines = [f"## {path}\n", f"```text\n{' '.join(words)}\n```\n", inspect.cleandoc(command.help or "") + "\n"]
    lines += _options(command, hidden_too=False)
    examples = getattr(command, "examples", "").strip()
    if examples:
        body = "\n".join(line.strip() for line in examples.splitlines())
        lines.append(f"```bash\n{body}\n```\n")
    return lines


def _options(command: click.Command, *, hidden_too: bool) -> list[str]:
    rows = []
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or (parameter.hidden and not hidden_too):
            continue
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        value = "" if parameter.is_flag else f" *{_escape(parameter.metavar or _choices(parameter))}*"
        default = ""
        if parameter.show_default and isinstance(parameter.default, (str, int)):
            default = f" Default: `{parameter.default}`."
        rows.append(f"{names}{value}\n: {_escape(parameter.help or '')}{default}\n")
    return rows


def _choices(parameter: click.Option) -> str:
    kind = parameter.type
    return "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else kind.name.upper()


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def events_schema() -> str:
    """The event stream of a transfer as a JSON Schema."""
    import msgspec

    from packhorse.transfer import events

    kinds: Any = tuple(
        value
        for value in vars(events).values()
        if isinstance(value, type) and issubclass(value, events.Event) and value is not events.Event
    )
    (schema,), parts = msgspec.json.schema_components(
        [__import__("typing").Union[kinds]],
        ref_template="#/$defs/{name}",
    )
    for part in parts.values():
        part["properties"] = {"v": {"const": events.EVENT_VERSION}, **part["properties"]}
        part["required"] = ["v", *part.get("required", [])]
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Packhorse transfer events, version {events.EVENT_VERSION}",
        **schema,
        "$defs": parts,
    }
    return json.dumps(whole, indent=2) + "\n"


WRITTEN = {"cli.md": cli_markdown, "events.schema.json": events_schema}

if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent / "src"))
    for name, make in WRITTEN.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")
