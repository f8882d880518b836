# Snakemake runs this in the environment that it made of conda.yaml (`--sdm conda`), in the project's folder: the tools themselves.
set -euo pipefail
python -m pip install --no-deps .
