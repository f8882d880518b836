"""How the work is done: the config's `run`, of which nothing changes a result."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import PositiveInt, model_validator

from polar_tools.fields import Frozen
from polar_tools.tracker_config import Trackers


class Resources(Frozen):
    """What a job asks of a cluster. It changes no result. Memory and time are of the first attempt: each further one asks for more."""

    mem_mb: PositiveInt | Literal["auto"] = "auto"
    """Memory in MiB; `auto`: what `polar-tools plan` foretells and a quarter more, and no less than is usual for the stage."""
    runtime: PositiveInt = 60
    """Time limit in minutes."""
    slurm_partition: str | None = None
    """Partition; this and the following are the profile's, where they are not said here."""
    slurm_account: str | None = None
    """Account."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that a node must have."""
    gpu_model: str | None = None
    """Which GPUs, by the name that the cluster has for them; of jobs that use one."""
    slurm_extra: str = ""
    """More options of sbatch, such as `--exclude=node07`."""


class Limits(Frozen):
    """What no attempt asks for, however many failed before, unless the first already did."""

    mem_mb: PositiveInt | None = None
    """Memory of the largest node in MiB. Without it, three times what the first attempt asked for."""
    runtime: PositiveInt = 1440
    """The partition's time limit in minutes."""


class StageResources(Frozen):
    """Resources of each stage."""

    mirror: Resources = Resources(mem_mb=2000, runtime=120)
    """Copying a source."""
    convert: Resources = Resources(mem_mb=8000, runtime=60)
    """Dequantising a GGUF file."""
    prepare: Resources = Resources(mem_mb=8000, runtime=120)
    """Reading, filtering and splitting a dataset."""
    mix: Resources = Resources(mem_mb=4000, runtime=60)
    """Mixing datasets."""
    expect: Resources = Resources(mem_mb=4000, runtime=30)
    """Looking whether expectations are met."""
    overlap: Resources = Resources(mem_mb=8000, runtime=120)
    """Looking for text that training rows and the test rows of an evaluation have in common."""
    decontaminate: Resources = Resources(mem_mb=4000, runtime=60)
    """Leaving out rows that overlap."""
    tokenize: Resources = Resources(mem_mb=8000, runtime=120)
    """Rendering a dataset for a model."""
    rank: Resources = Resources(runtime=240)
    """Ranking rows by the loss that the untouched model has on them."""
    train: Resources = Resources(runtime=1440)
    """One training."""
    evaluate: Resources = Resources(runtime=240)
    """One evaluation of one model."""
    harness: Resources = Resources(mem_mb=16000, runtime=240)
    """Tasks of lm-evaluation-harness on one model."""
    compare: Resources = Resources(mem_mb=4000, runtime=60)
    """Comparing all that was measured on an evaluation."""
    report: Resources = Resources(mem_mb=2000, runtime=30)
    """The report."""
    publish: Resources = Resources(mem_mb=8000, runtime=240)
    """Publishing, where Snakemake itself runs."""
    most: Limits = Limits()
    """Up to where attempts ask for more."""

    @model_validator(mode="before")
    @classmethod
    def _unsaid_stays_as_it_is(cls, given: Any) -> Any:
        """Who names a partition for a stage still has its usual memory and time."""
        if not isinstance(given, Mapping):
            return given
        usual = {name: cls.model_fields[name].default.model_dump(exclude_unset=True) for name in cls.model_fields}
        return {name: {**usual.get(name, {}), **part} if isinstance(part, Mapping) else part for name, part in given.items()}


class Run(Frozen):
    """How the work is done. Nothing here changes a result, so nothing here is frozen into a spec."""

    notes: str | None = None
    """For people."""
    resources: StageResources = StageResources()
    """What jobs ask of a cluster."""
    container: str = "envs/polar.sif"
    """The image that jobs run in under `--sdm apptainer`: a file, as envs/polar.def makes it, or a URI such as docker://REGISTRY/polar:TAG."""
    envmodules: tuple[str, ...] = ()
    """Modules that jobs load under `--sdm env-modules`, such as cuda/12.8."""
    trackers: Trackers = ()
    """Where runs are to be seen besides on disk: MLflow, W&B, TensorBoard, none or several (docs/track.md)."""
