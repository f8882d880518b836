"""`polar-tools new-method NAME`: the skeleton of a training method's file."""

from __future__ import annotations

import click


@click.command("new-method")
@click.argument("name")
def command(name: str) -> None:
    """Print the skeleton of a training method, which trains as it stands: continued pre-training on plain text.

    It becomes a method by lying in polar_tools/methods; config, schema, reference, stages, report and tests find it there.

    \b
      polar-tools new-method my_method > polar_tools/methods/my_method.py
      polar-tools train --method my_method --help
    """
    from pathlib import Path
    from string import Template

    from polar_tools import discovery, methods
    from polar_tools.errors import UserError

    if not name.isidentifier() or not name.islower():
        raise UserError(f"`{name}` can't be the name of a Python file; take small letters, digits and `_`")
    if name in discovery.aliases("methods"):
        raise UserError(f"there is a method `{name}` already, in {discovery.aliases('methods')[name]}.py; take another name")
    folder = Path(methods.__path__[0])
    skeleton = Template((folder.parent / "new_method.py.txt").read_text(encoding="utf-8"))
    click.echo(skeleton.substitute(name=name, title=name.replace("_", " ").capitalize()), nl=False)
    click.echo(
        f"It belongs into {folder / name}.py. CONTRIBUTING.md says what else a method of the project has: a case, an example.", err=True
    )
