"""Config -> artifacts: all that is made of it, what each waits for, and what its job needs. Knows no Snakemake."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from polar_tools import artifact, foreign_code, publications, tracker_config
from polar_tools.config import Config
from polar_tools.fields import payload_of
from polar_tools.layout.experiments import Experiments
from polar_tools.run_config import Resources
from polar_tools.specs import (
    DecontaminateSpec,
    EvaluateSpec,
    ExpectSpec,
    ExperimentSpec,
    OverlapSpec,
    RankSpec,
    ReportSpec,
    TokenizeSpec,
    TrainSpec,
)

REPORT, PUBLICATIONS = "results/report", "results/publish"


class Plan(Experiments):
    """Every artifact that a config asks for, by path, inputs first; raises ConfigError where the config can't be planned."""

    def __init__(self, config: Config) -> None:
        foreign_code.check(config)
        super().__init__(config)
        if self.reported:
            spec = ReportSpec(
                project_name=config.project_name,
                report_language=config.report_language,
                experiments=self.reported,
                comparisons=self._comparisons(self.reported),
            )
            self._add(REPORT, spec)
        else:
            self._all_there_is()
        for name in sorted(config.publish):
            self._add(f"{PUBLICATIONS}/{name}", publications.spec(config, name, self.reported, self._dataset))

    def inputs(self, path: str) -> list[str]:
        """What a rule waits for besides the spec: the manifests of the inputs, and local files, sorted."""
        made = self.artifacts[path]
        return [f"{folder}/manifest.json" for folder in made.inputs] + made.spec.local_files()

    def gates(self, path: str) -> list[str]:
        """Manifests of what must hold before the artifact is made, but is no part of it, sorted.

        Snakemake would plan a job for a gate that isn't there yet, so what is made already has none such.
        """
        spec = self.artifacts[path].spec
        if not isinstance(spec, TokenizeSpec | TrainSpec):
            return []
        payloads = [spec.experiment.dataset, *([spec.tokenizer] if isinstance(spec, TrainSpec) else [])]
        looked_at = sorted(gate for payload in payloads for gate in self._gates.get(self._uncleaned(payload), []))
        manifests = [Path(gate, "manifest.json") for gate in looked_at]
        return [manifest.as_posix() for manifest in manifests if manifest.is_file() or self._states[path] == "to make"]

    @cached_property
    def _gates(self) -> dict[str, list[str]]:
        """Payload -> what may find that nothing is to be trained on it."""
        gates: dict[str, list[str]] = {}
        for path, made in self.artifacts.items():
            if isinstance(made.spec, ExpectSpec):
                gates.setdefault(made.spec.of, []).append(path)
            elif isinstance(made.spec, OverlapSpec) and made.spec.fail:
                gates.setdefault(made.spec.dataset, []).append(path)
        return gates

    def _uncleaned(self, payload: str) -> str:
        """The data as prepared, of data from which rows that overlap were left out."""
        made = self.artifacts.get(payload_of(payload))
        return made.spec.dataset if made is not None and isinstance(made.spec, DecontaminateSpec) else payload

    @property
    def references(self) -> list[str]:
        """The folders below results/ of models that experiments are compared with, each laid out as an experiment's."""
        return sorted(set(self._alike.values()))

    @cached_property
    def _states(self) -> dict[str, str]:
        return self.states()

    def targets(self, below: str = "") -> list[str]:
        """The manifests of all artifacts whose paths begin with `below`."""
        return [f"{path}/manifest.json" for path in self.artifacts if path.startswith(below)]

    def settle(self, root: Path = Path()) -> None:
        """Bring the spec.json files below `root` up to date and drop manifests that no longer tell the truth."""
        records = artifact.Records(root)
        for path, made in self.artifacts.items():
            artifact.settle(root / path, made.frozen, made.spec, records)
        tracker_config.settle(tracker_config.Settings(project_name=self.config.project_name, trackers=self.config.run.trackers), root)

    def states(self, root: Path = Path()) -> dict[str, str]:
        """Path -> "done" or "to make", in the order of the work; nothing is written."""
        records = artifact.Records(root)
        states: dict[str, str] = {}
        for path, made in self.artifacts.items():
            above = [states[folder] for folder in made.inputs]
            done = "to make" not in above and artifact.is_done(root / path, made.spec, made.frozen, records)
            states[path] = "done" if done else "to make"
        return states

    def gpus(self, path: str) -> int:
        """GPUs that the artifact's job needs on a node; only a training has use for more than one."""
        spec = self.artifacts[path].spec
        if isinstance(spec, TrainSpec):
            return spec.experiment.gpus
        return min(1, spec.experiment.gpus) if isinstance(spec, RankSpec | EvaluateSpec) else 0

    def allocation(self, path: str) -> dict[str, int | str | None]:
        """What a training's job needs, by the names of Snakemake's Slurm executor; None for what is not to be said.

        On several nodes GPUs are counted for each of them (`gres`), and the command runs once on each (`mpi`). Several GPUs of one node are
        asked for as such: Slurm would take them wherever they are free.
        """
        spec, gpus = self.artifacts[path].spec, self.gpus(path)
        nodes = spec.experiment.nodes if isinstance(spec, TrainSpec) else 1
        if nodes == 1:
            return {"gpu": gpus, "nodes": 1 if gpus > 1 else None, "tasks": None, "mpi": None, "gres": None, "tasks_per_gpu": None}
        whole = {"gpu": None, "nodes": nodes, "tasks": nodes, "mpi": "srun"}
        model = self.resources("train").gpu_model
        gres = f"gpu:{model}:{gpus}" if model else f"gpu:{gpus}"
        return {**whole, "gres": gres if gpus else None, "tasks_per_gpu": 0 if gpus else None}

    def threads(self, path: str) -> int:
        """CPU threads that the artifact's job needs on a node."""
        spec = self.artifacts[path].spec
        if isinstance(spec, TrainSpec):
            return spec.experiment.threads * spec.experiment.processes_per_node
        return spec.experiment.threads if isinstance(spec, ExperimentSpec) else 1

    def resources(self, stage: str) -> Resources:
        """Memory and time limit of a stage's jobs."""
        found: Resources = getattr(self.config.run.resources, stage)
        return found
