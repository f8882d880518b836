"""A comparison that a person asks for: words on a command line become lots of predictions, and these are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from polar_tools import config as configs
from polar_tools.comparing import comparison, contestants, findings, lots, reading
from polar_tools.comparing.contestants import Contestant
from polar_tools.comparing.findings import Findings
from polar_tools.errors import PolarError, UserError
from polar_tools.evaluation_config import Evaluation
from polar_tools.fields import did_you_mean
from polar_tools.plan import Plan
from polar_tools.specs import CompareSpec


def compare(
    what: Sequence[str],
    config: Path,
    evaluation: str | None = None,
    metrics: list[JsonValue] | None = None,
    samples: int = comparison.SAMPLES,
    seed: int = 0,
    all_pairs: bool = False,
    common: bool = False,
) -> Findings:
    """What `polar-tools compare` prints; raises UserError for names that lead nowhere, and DataError for rows that can't be compared."""
    chosen = [] if metrics is None else list(configs.parse({"dataset": "", "metrics": metrics}, "--metrics", Evaluation).metrics)
    found = [contestants.read(one) for one in named(what, config, evaluation)]
    paired = lots.pair(found if chosen else lots.with_metrics(found), common)
    names = [lot.name for lot in paired.lots]
    families = comparison.all_pairs(names) if all_pairs else comparison.against_first(names)
    return findings.find(paired, families, chosen, samples, seed)


def named(what: Sequence[str], config: Path, evaluation: str | None) -> list[Contestant]:
    """Those that are named by `what`, all on one evaluation of the config where any is a name in it."""
    known = _Known(config)
    places = [known.place(word) for word in what]
    spec = known.evaluation([word for word, place in zip(what, places, strict=True) if place is None], evaluation)
    found = [spec[word] if place is None else known.at(*place, evaluation) for word, place in zip(what, places, strict=True)]
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{', '.join(twice)} is named twice; NAME=FILE gives a file another name")
    return found


class _Known:
    """What a config has to compare; a config that isn't there, or is wrong, matters only where a name is looked up in it."""

    def __init__(self, config: Path) -> None:
        self.config, self.error = config, ""
        self.specs: dict[str, CompareSpec] = {}
        try:
            plan = Plan(configs.load(config))
        except PolarError as error:
            self.error = str(error)
        else:
            self.specs = {Path(path).name: made.spec for path, made in plan.artifacts.items() if isinstance(made.spec, CompareSpec)}

    def names(self, evaluation: str) -> dict[str, Contestant]:
        """All that can be named of an evaluation."""
        spec = self.specs[evaluation]
        return {**contestants.of_spec(spec), **contestants.of_runs(spec)}

    def place(self, word: str) -> tuple[str, Path] | None:
        """Name and path where `word` is a path; None where it is a name of the config, or nothing."""
        if any(word in self.names(evaluation) for evaluation in self.specs):
            return None
        name, equals, path = word.partition("=")
        if equals and Path(path).exists():
            return name, Path(path)
        return (word, Path(word)) if Path(word).exists() else None

    def evaluation(self, words: Sequence[str], evaluation: str | None) -> dict[str, Contestant]:
        """What can be named of the evaluation that `words` have in common."""
        if not words:
            return {}
        everywhere = {name: set(self.names(name)) for name in self.specs}
        for word in words:
            if not any(word in names for names in everywhere.values()):
                raise UserError(self._nowhere(word, sorted(set().union(*everywhere.values()))))
        common = [name for name, names in everywhere.items() if set(words) <= names]
        if evaluation is not None and evaluation not in self.specs:
            raise UserError(f"there is no evaluation `{evaluation}` in {self.config}{did_you_mean(evaluation, list(self.specs))}")
        if evaluation is not None and evaluation not in common:
            absent = [word for word in words if word not in everywhere[evaluation]]
            raise UserError(f"{', '.join(absent)} is not measured on `{evaluation}`, which has {', '.join(sorted(everywhere[evaluation]))}")
        if evaluation is None and len(common) != 1:
            which = f"share {', '.join(common)}: choose one with --evaluation" if common else "share no evaluation, so no rows"
            raise UserError(f"{', '.join(words)} {which}")
        return self.names(evaluation or common[0])

    def _nowhere(self, word: str, names: list[str]) -> str:
        if self.error:
            return f"there is no file {word}, and no config in which it could be a name: {self.error}"
        return f"`{word}` is neither a file nor in {self.config}{did_you_mean(word, names) or '; known are: ' + ', '.join(names)}"

    def at(self, name: str, path: Path, evaluation: str | None) -> Contestant:
        """What lies at a path: a file of predictions, an evaluation, or a run with evaluations."""
        if path.is_file():
            return Contestant(name, {}, path)
        if not (path / reading.FILE).is_file() and not (path / "spec.json").is_file():
            path = _below(path, evaluation)
        if not (path / "spec.json").is_file():
            return Contestant(name, {}, path / reading.FILE)
        for spec in self.specs.values():
            for one in (*contestants.of_runs(spec).values(), *contestants.of_spec(spec).values()):
                if len(one.folders) == 1 and path.resolve() in {folder.resolve() for folder in one.folders.values()}:
                    return replace(one, name=name)
        return Contestant(name, {path.parent.parent.name: path})


def _below(run: Path, evaluation: str | None) -> Path:
    """The evaluation of a run's folder."""
    found = sorted(path.parent for path in run.glob(f"*/*/{reading.FILE}"))
    chosen = [path for path in found if evaluation in (None, path.name)]
    if len(chosen) != 1:
        which = f"has {', '.join(path.name for path in found)}: choose one with --evaluation" if found else "has no predictions"
        raise UserError(f"{run} {which}")
    return chosen[0]
