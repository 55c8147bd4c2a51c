"""What every command shares: the global options, the output, and the session made when it is first needed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from packhorse.cli.output import Mode, Output
from packhorse.model import Secret

if TYPE_CHECKING:
    from packhorse.session import Session
    from packhorse.settings import Settings

__all__ = ["Command", "Group", "ListingGroup", "State", "command", "global_options", "pass_state"]


class State:
    """One run of the command line. Global options may stand before or after the command's name."""

    def __init__(self, arguments: Sequence[str] = (), *, session: Any = None, output: Output | None = None) -> None:
        self.arguments = tuple(arguments)
        self.mode: Mode = "human"
        self.progress = True
        self.verbose = False
        self.ca_bundle: Path | None = None
        self.proxy: str | None = None
        self.config: Path | None = None
        self.made_output = output
        self.password: Secret | None = None
        self.asking: Callable[[], AbstractContextManager[None]] = nullcontext
        self._session = session
        self._settings: Settings | None = None

    @property
    def output(self) -> Output:
        """The output, made at first use: by then every option was read."""
        if self.made_output is None:
            self.made_output = Output(self.mode, progress=self.progress)
        return self.made_output

    @property
    def settings(self) -> Settings:
        """The settings: file, environment and options."""
        if self._settings is None:
            from packhorse.settings import Settings

            settings = Settings.load(path=self.config)
            if self.ca_bundle is not None:
                settings = settings.with_network(ca_bundle=self.ca_bundle, ca_from="--ca-bundle")
            if self.proxy is not None:
                settings = settings.with_network(proxy=Secret(self.proxy))
            self._settings = settings
        return self._settings

    def use_route(self, route: str) -> None:
        """Have files of ImmPort come by this route from now on. Before the session is made."""
        self._settings = self.settings.with_route(route)

    @property
    def session(self) -> Session:
        """The session, made at first use."""
        if self._session is None:
            from packhorse.credentials.prompt import terminal_prompt
            from packhorse.session import Session

            self._session = Session(
                self.settings, prompt=terminal_prompt, passphrase=self._passphrase, notify=self.output.warn
            )
        return self._session  # type: ignore[no-any-return]

    def _passphrase(self, what: str) -> Secret | None:
        """The password of something encrypted: what was given, else what is typed. Called in the engine's threads."""
        from packhorse.credentials.prompt import terminal_passphrase

        if self.password is not None:
            return self.password
        with self.asking():
            return terminal_passphrase(what)

    @property
    def state_dir(self) -> Path:
        """Where transfers are recorded and where ``serve --demo`` says its URL."""
        return self.settings.state_dir

    def close(self) -> None:
        """Give back what the session holds."""
        if self._session is not None:
            self._session.close()
            self._session = None


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def remember(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        # an option that is not given must not undo one that was given before the command's name
        state = ctx.find_object(State)
        if state is None or value is None or value is False:
            return
        if name in ("json", "quiet"):
            if state.mode not in ("human", name):
                raise click.UsageError("--json and --quiet cannot be joined")
            state.mode = name  # type: ignore[assignment]
        elif name == "progress":
            state.progress = False
        else:
            setattr(state, name, value)

    return remember


F = TypeVar("F", bound=Callable[..., Any])


def global_options(*, hidden: bool) -> Callable[[F], F]:
    """The options that may stand anywhere; hidden in a command's own help, which points to ``packhorse --help``."""

    def option(name: str, *flags: str, **more: Any) -> Any:
        return click.option(*flags, expose_value=False, callback=_set(name), hidden=hidden, **more)

    file = click.Path(path_type=Path, dir_okay=False, exists=True)
    options = (
        option("json", "--json", "_json", is_flag=True, help="One JSON object per line on standard output (NDJSON)."),
        option(
            "quiet", "--quiet", "-q", "_quiet", is_flag=True, help="Only errors, and bare values where a command lists."
        ),
        option("progress", "--no-progress", "_no_progress", is_flag=True, help="No bars and no progress lines."),
        option("verbose", "--verbose", "-v", "_verbose", is_flag=True, help="Say also what is tried again, and why."),
        option(
            "ca_bundle", "--ca-bundle", "_ca_bundle", type=file, metavar="FILE", help="CA certificates (PEM) to trust."
        ),
        option("proxy", "--proxy", "_proxy", metavar="URL", help="Proxy to use: http://…, socks5h://… and the like."),
        option("config", "--config", "_config", type=file, metavar="FILE", help="Settings file."),
    )

    def decorate(function: F) -> F:
        for add in reversed(options):
            function = add(function)
        return function

    return decorate


class Command(click.Command):
    """A command that also takes the global options, and shows its examples as they are written."""

    def __init__(
        self, *args: Any, examples: str = "", bare: Mapping[str, Sequence[str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.bare = bare or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let the options in ``bare`` stand without a value: the word after one is its value only if it can be."""
        parsed: list[str] = []
        for index, word in enumerate(args):
            if word == "--":
                parsed += args[index:]
                break
            choices = self.bare.get(word)
            following = args[index + 1] if index + 1 < len(args) else None
            parsed.append(word if choices is None or following in choices else f"{word}={choices[0]}")
        return super().parse_args(ctx, parsed)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            formatter.write_paragraph()
            formatter.write("Examples:\n")
            for line in self.examples.strip().splitlines():
                formatter.write(f"  {line.strip()}\n")
        formatter.write("\nThe options of 'packhorse --help' (--json, --quiet, --config …) work here too.\n")


class Group(click.Group):
    """A group of commands under one word (``remote``, ``config``, ``server``)."""

    command_class = Command


class ListingGroup(Group):
    """A group whose sensible default is ``list``, and ``show`` where a number is the first word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--help" not in args[:1] and "-h" not in args[:1]:
            first = next((word for word in args if not word.startswith("-")), None)
            if first is not None and first not in self.commands and _is_number(first):
                args = ["show", *args]
            elif not args or (args[0].startswith("-") and not any(word in self.commands for word in args)):
                args = ["list", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], self.commands, n=1)
            error = click.UsageError(f"there is no command {ctx.command_path} {args[0]}", ctx)
            error.hint = f"{ctx.command_path} {near[0]}" if near else f"{ctx.command_path} --help"  # type: ignore[attr-defined]
            raise error
        return super().resolve_command(ctx, args)


def _is_number(word: str) -> bool:
    return word.rpartition(":")[2].rpartition("/")[2].isdigit()


def command(
    name: str, *, examples: str = "", bare: Mapping[str, Sequence[str]] | None = None, group: click.Group | None = None
) -> Callable[[Any], click.Command]:
    """Declare a command: global options, examples, and the state as its first argument."""

    def declare(function: Callable[..., Any]) -> click.Command:
        wrapped = global_options(hidden=True)(pass_state(function))
        maker = click.command(name, cls=Command, examples=examples, bare=bare)
        made = maker(wrapped)
        if group is not None:
            group.add_command(made)
        return made

    return declare


def pass_state(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the function the :class:`State` first."""

    @functools.wraps(function)
    def with_state(*args: Any, **kwargs: Any) -> Any:
        state = click.get_current_context().find_object(State)
        if state is None:  # a command that was run without main(): completion, the docs
            state = State()
        return function(state, *args, **kwargs)

    return with_state
