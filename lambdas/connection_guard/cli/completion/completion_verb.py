"""The verb `completion`: what a shell needs to complete verbs, options and databases."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "fish", "zsh")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Write the script that makes a shell complete verbs, options and databases.

    The names of databases come from guard.toml in the folder where you are, or from the file that
    --guard names.

    \b
    Examples:
      eval "$(connection-guard completion bash)"     # in ~/.bashrc
      eval "$(connection-guard completion zsh)"      # in ~/.zshrc
      connection-guard completion fish > ~/.config/fish/completions/connection-guard.fish
    """
    command = context.find_root()
    script = get_completion_class(shell)
    assert script is not None, "click has a class for each of SHELLS"
    name = str(command.info_name)
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    print(script(command.command, {}, name, variable).source())
