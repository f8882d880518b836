"""Where AutoTrain would train, and what to do here instead where that is somewhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools.conversions.base import Draft
from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean

LOCAL = ("local", "local-cli", "local-ui", "default")
"""What trains on this machine; `default` is what 0.6 called it."""
CLUSTER = (
    "run the same with `--backend local` on a machine that has the GPUs, or convert it "
    "(`polar-tools convert --from autotrain -- ... > config/config.yaml`) and let a cluster make it: `snakemake --profile slurm`"
)
ELSEWHERE = {
    "spaces-": f"rents a machine of Hugging Face Spaces, which nothing here does: {CLUSTER}",
    "ep-": f"rents an Inference Endpoint to train on, which nothing here does: {CLUSTER}",
    "nvcf-": f"rents a machine of NVIDIA's cloud functions, which nothing here does: {CLUSTER}",
    "dgx-": f"rents a machine of NVIDIA's NGC, which nothing here does: {CLUSTER}",
    "ngc-": f"rents a machine of NVIDIA's NGC, which nothing here does: {CLUSTER}",
}
"""How the name of a backend begins -> what to do here."""
TPU = "there is no training on TPUs here, only on GPUs and processors: take a GPU, with `--backend local`"
VERBS = {
    "deploy": "AutoTrain has no `--deploy` any more either. Publish the trained model with `--push-to-hub`, or serve PROJECT_NAME/model, a "
    "folder as transformers, vLLM and TGI load it",
    "inference": "AutoTrain has no `--inference` any more either. Ask the model by `polar-tools chat PROJECT_NAME/model`, or have "
    "a file answered with `polar-tools predict`",
}


def settle(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Note what says where and that it is trained; raises UserError for what isn't done here."""
    for verb, instead in VERBS.items():
        if arguments.get(verb):
            raise UserError(f"--{verb}: {instead}")
        if verb in arguments:
            draft.note("dropped", verb, (), "says nothing")
    if "train" in arguments:
        draft.note("dropped", "train", (), "a config is there to be trained")
    if "backend" in arguments:
        _refuse_elsewhere(str(arguments["backend"]))
        draft.note("dropped", "backend", (), "what is trained is trained where the command runs")


def _refuse_elsewhere(backend: str) -> None:
    if backend in LOCAL:
        return
    if "tpu" in backend.lower():
        raise UserError(f"--backend {backend}: {TPU}")
    for beginning, instead in ELSEWHERE.items():
        if backend.startswith(beginning):
            raise UserError(f"--backend {backend}: it {instead}")
    raise UserError(f"AutoTrain has no backend `{backend}`{did_you_mean(backend, [*LOCAL])}; here everything is `--backend local`")
