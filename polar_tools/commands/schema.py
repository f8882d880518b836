"""`polar-tools schema [TOOL]`: what tools and configs take, as JSON schemas."""

from __future__ import annotations

import click

from polar_tools import completing

CONFIG = "config"
"""What isn't a tool, and has a schema too."""


@click.command("schema")
@click.argument("tool", required=False, shell_complete=completing.all_tools)
def command(tool: str | None) -> None:
    """Print the JSON schema of TOOL's arguments, for programs that call it; without TOOL, of an order for any tool.

    An order is {"tool": NAME, "arguments": {...}}, as `polar_tools.jobs` takes it. An argument is called as its option is, with `_` for
    `-`. Tokens are no arguments: they belong into the environment. `config` is no tool, and gives the schema of a config file.

    \b
      polar-tools schema train
      polar-tools schema > orders.schema.json
      polar-tools schema config > config.schema.json
    """
    import json

    from polar_tools import argument_schema, reference

    if tool == CONFIG:
        click.echo(reference.config_schema(), nl=False)
        return
    made = argument_schema.of_all() if tool is None else argument_schema.of(tool)
    click.echo(json.dumps(made, indent=2, ensure_ascii=False))
