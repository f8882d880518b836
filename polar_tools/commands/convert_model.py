"""`polar-tools convert-model SPEC`: the stage convert."""

from pathlib import Path

import click

from polar_tools import options


@click.command("convert-model")
@options.spec_argument()
def command(spec: Path) -> None:
    """Dequantise a GGUF model into safetensors, as SPEC says."""
    options.run_stage("convert", spec)
