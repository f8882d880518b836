"""`polar-tools completion SHELL`: commands, options and names behind TAB."""

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script by which SHELL completes commands, options, methods, metrics, and names out of your config.

    \b
      polar-tools completion bash > ~/.local/share/bash-completion/completions/polar-tools
      polar-tools completion zsh > ~/.zfunc/_polar-tools          # with fpath+=~/.zfunc before compinit in ~/.zshrc
      polar-tools completion fish > ~/.config/fish/completions/polar-tools.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    script = kind(root, {}, "polar-tools", "_POLAR_TOOLS_COMPLETE").source()
    click.echo(script.replace('string split ","', 'string split --max 1 ","'))  # of fish: `rouge,bleu` is one word
