"""``packhorse completion``."""

from __future__ import annotations

import click

from packhorse.cli.context import State, command
from packhorse.errors import UsageError

__all__ = ["completion_command"]

_WHERE = {
    "bash": ("~/.local/share/bash-completion/completions/packhorse", "packhorse completion bash > {}"),
    "zsh": (
        "~/.zfunc/_packhorse",
        "packhorse completion zsh > {}   # with fpath+=~/.zfunc before compinit in ~/.zshrc",
    ),
    "fish": ("~/.config/fish/completions/packhorse.fish", "packhorse completion fish > {}"),
}


@command(
    "completion",
    examples="""
    packhorse completion bash > ~/.local/share/bash-completion/completions/packhorse
    packhorse completion fish > ~/.config/fish/completions/packhorse.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(state: State, shell: str) -> None:
    """Print the completion script for SHELL, to be kept where the shell looks for it."""
    from click.shell_completion import get_completion_class

    from packhorse.cli.app import packhorse_command

    complete = get_completion_class(shell)
    if complete is None:
        raise UsageError(f"there is no completion for {shell}")
    # source_template and source_vars instead of source(): that one starts bash to look at its version
    made = complete(packhorse_command, {}, "packhorse", "_PACKHORSE_COMPLETE")
    state.output.raw(made.source_template % made.source_vars())
    if state.output.out_is_terminal:
        where, how = _WHERE[shell]
        state.output.note(f"# keep it: {how.format(where)}", "dim")
