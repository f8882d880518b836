"""`polar-tools chat`: talk with a model."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from polar_tools.commands.predict import found, of_model

HELP = "/reset begins anew, /system TEXT sets the system prompt, /exit ends"


@click.command("chat")
@of_model
def command(**given: Any) -> None:
    """Talk with a model: its chat template, system prompt and generation settings are those of its evaluation.

    EXPERIMENT is one of the config, or the folder of a model. A line is what you say; /reset begins anew, /system TEXT sets the system
    prompt, /exit ends. A model that sorts texts says the label, one that reads and rewrites takes each line for itself.

    \b
      polar-tools chat describe
      printf 'What is a cat?\\nAnd a dog?\\n' | polar-tools chat out/model
    """
    from polar_tools import answering

    with found(**given) as made, contextlib.chdir(made.root):
        talk = answering.Chat(made)
        lines, alone = sys.stdin, sys.stdin.isatty()
        if alone:
            click.echo(HELP if talk.has_turns else f"{HELP}; this model has no turns: each line stands for itself", err=True)
        while (line := _asked(lines, alone)) is not None:
            if line.startswith("/"):
                if not _obeyed(line, talk):
                    return
            elif line.strip():
                _answered(line, talk)


def _asked(lines: Any, alone: bool) -> str | None:
    """The next line, or None where there is none."""
    if alone:
        click.echo("> ", nl=False)
    line: str = lines.readline()
    return line.rstrip("\r\n") if line else None


def _obeyed(line: str, talk: Any) -> bool:
    """Do what a line that begins with a slash says; returns whether to go on."""
    word, _, text = line.partition(" ")
    if word == "/exit":
        return False
    if word == "/reset":
        talk.reset()
    elif word == "/system":
        if not talk.has_turns:
            click.echo("this model has no turns, so a system prompt would be ignored", err=True)
        talk.system = text.strip() or None
        talk.reset()
    else:
        click.echo(HELP, err=True)
    return True


def _answered(line: str, talk: Any) -> None:
    from polar_tools.errors import PolarError

    def write(text: str) -> None:
        click.echo(text, nl=False)
        sys.stdout.flush()

    try:
        talk.say(line, write)
    except PolarError as error:
        click.echo(f"error: {error}", err=True)
    click.echo()
