"""`polar-tools convert-model SPEC`: the stage convert."""

from pathlib import Path

import click

from polar_tools import options


@click.command("convert-model")
@options.spec_argument()
def command(spec: Path) -> None:
    """Put a model's folder together, as SPEC says: GGUF weights as safetensors, a subfolder, another's config or tokenizer.

    \b
      polar-tools convert-model results/models/NAME/spec.json
    """
    options.run_stage("convert", spec)
