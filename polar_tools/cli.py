"""`polar-tools`: the list of commands is the list of files in commands/; errors end here, in one readable message."""

from __future__ import annotations

import errno
import gc
import os
import re
import sys

import click

from polar_tools import secrets, tools
from polar_tools.errors import PolarError
from polar_tools.spelling import did_you_mean
from polar_tools.version import __version__

STOPPED_BY_HAND = 130
LONGEST = 110
"""Characters of a command's line in the list of all."""
SECTIONS = {
    "Begin": ("init", "convert", "llm", "check", "doctor", "plan", "run"),
    "One thing on its own": ("pull-push", "prepare", "preflight", "train", "evaluate", "predict", "score", "chat"),
    "What there is, and why": ("status", "verify", "lineage", "why", "diff", "compare", "diagnose", "outdated", "impact"),
    "Share": ("publish", "reproduce", "bundle", "export-crate", "track"),
    "For programs": ("schema", "completion", "new-method"),
}
STAGES = "Stages that the workflow calls"
"""What stands in no other section."""


class Commands(click.Group):
    """Finds each command in the file of its name, and imports it only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, sorted."""
        return tools.names()

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command `name`; None where there is no such file."""
        return tools.load(name) if name in tools.names() else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By what a person wants, rather than by the alphabet."""
        sorted_in = {name for names in SECTIONS.values() for name in names}
        for title, names in {**SECTIONS, STAGES: [name for name in tools.names() if name not in sorted_in]}.items():
            with formatter.section(title):
                formatter.write_dl([(name, tools.load(name).get_short_help_str(LONGEST)) for name in names])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with a suggestion for a name that is nearly right."""
        if args and not args[0].startswith("-") and args[0] not in tools.names() and not ctx.resilient_parsing:
            ctx.fail(f"there is no command `{args[0]}`{did_you_mean(args[0], tools.names())}")
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": tools.HELP})
@click.version_option(__version__, prog_name="polar-tools")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def group(debug: bool) -> None:
    """One config file in, versioned and verifiable results out.

    From your own rows to a report:

    \b
      polar-tools init my-project --data rows.csv && cd my-project
      polar-tools check
      snakemake

    A training, a measurement or a copy alone, and what lies in the results:

    \b
      polar-tools train --method sft --model-name-or-path ORG/NAME --train-data rows.csv --output-dir out
      polar-tools pull-push --source ORG/NAME --target s3://bucket/models/name
      polar-tools verify results/describe

    Exit status: 0 done, 2 your input, 1 the world (network, disk, damaged bytes), 75 run the same command again.
    """


def main() -> None:
    """Run the command line; a PolarError becomes its message and its exit status."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for them reads every installed package's metadata
    gc.disable()  # starting up makes no garbage worth looking for; a stage turns it on again
    secrets.hide_from_process_list()
    debug = "--debug" in sys.argv or bool(os.environ.get("POLAR_DEBUG"))
    try:
        group(prog_name="polar-tools", standalone_mode=False)
    except click.exceptions.Exit as exit:
        sys.exit(exit.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(f"error: {secrets.redacted(misuse(error))}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(STOPPED_BY_HAND)
    except Exception as error:
        if debug:
            raise
        message, status = explain(error)
        click.echo(f"error: {secrets.redacted(message)}", err=True)
        sys.exit(status)


def misuse(error: click.ClickException) -> str:
    """What a person should read who used a command otherwise than it can be."""
    message, ctx = error.format_message().removesuffix("."), error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.NoSuchOption) and ctx is not None:
        known = [name for param in ctx.command.get_params(ctx) for name in (*param.opts, *param.secondary_opts) if name.startswith("--")]
        message = f"there is no option `{error.option_name}`{did_you_mean(error.option_name, known)}"
    elif isinstance(error, click.BadParameter) and error.param is not None and isinstance(error.param.type, click.Choice):
        given = re.match(r"'(.*)' is not one of", error.message)
        message += did_you_mean(given[1], map(str, error.param.type.choices)) if given else ""
    return message if ctx is None else f"{message}\n`{ctx.command_path} --help` shows what there is"


def explain(error: Exception) -> tuple[str, int]:
    """What a person should read of `error`, and the exit status."""
    if isinstance(error, PolarError):
        return str(error), error.exit_status
    if (isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}) or "No space left on device" in str(error):
        return "no space left on the disk; nothing unfinished counts as done: free some, then run the same command again", 1
    if isinstance(error, ModuleNotFoundError):
        how = "pip install 'polar-tools[run]' brings what most configs need, and `polar-tools doctor CONFIG` says what this one does"
        return f"the package `{error.name}` is not installed: {how}", 2
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1
    return f"{type(error).__name__}: {error} (this looks like a bug; `polar-tools --debug ...` shows where)", 1
