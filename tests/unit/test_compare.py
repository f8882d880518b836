"""`polar-tools compare`: names, folders and files become a table and sentences, on the same rows or not at all."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from polar_tools import config as configs
from polar_tools.cli import group
from polar_tools.errors import ConfigError, PolarError
from polar_tools.plan import Plan

ROWS = 200
SEEN = range(40)
"""Test rows that overlap with what is trained on."""
CONFIG: dict[str, Any] = {
    "models": {"m": {"source": "file://rows.csv"}, "rival": {"source": "file://rows.csv"}},
    "datasets": {"d": {"source": "file://rows.csv", "columns": {"text": "t", "label": "l"}, "split": {"test_size": 1}}},
    "evaluations": {
        "e": {"dataset": "d", "metrics": ["accuracy"], "references": ["rival"]},
        "alone": {"dataset": "d", "metrics": ["accuracy"]},
    },
    "experiments": {
        "one": {"method": "classification", "model": "m", "dataset": "d", "evaluations": ["e"]},
        "two": {"method": "classification", "model": "m", "dataset": "d", "evaluations": ["e"], "seeds": [0, 1], "max_length": 9},
        "other": {"method": "classification", "model": "m", "dataset": "d", "evaluations": ["alone"]},
    },
}


def answers(share: float, seed: int) -> list[bool]:
    """On which rows a model is right."""
    chance = random.Random(seed)
    return [chance.random() < share for _ in range(ROWS)]


def lines(right: Sequence[bool], **fields: Any) -> str:
    """predictions.jsonl of a classifier."""
    rows = [{"reference": "yes", "prediction": "yes" if one else "no", "row": f"{number:032x}"} for number, one in enumerate(right)]
    return "".join(json.dumps({**row, "input": "", "loss": None, "tokens": 0, "figures": {}, "cut": None, **fields}) + "\n" for row in rows)


def measure(path: str, right: Sequence[bool], **fields: Any) -> None:
    """Let an evaluation be done."""
    Path(path, "predictions.jsonl").write_text(lines(right, **fields), encoding="utf-8")
    Path(path, "manifest.json").write_text('{"record": "of this test"}')


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which all is measured: `one` knows only what it has seen, `two` is better everywhere."""
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("t,l\na,yes\nb,no\n")
    Path("config").mkdir()
    Path("config/config.yaml").write_text(json.dumps(CONFIG))
    plan = Plan(configs.load(Path("config/config.yaml")))
    plan.settle()
    base = answers(0.5, 0)
    chance = random.Random(1)
    better = [[one or chance.random() < 0.5 for one in base] for _ in range(2)]
    seen = [True if number in SEEN else one for number, one in enumerate(base)]
    for name, right in {"one/base": base, "two/base": base, "one/seed0": seen, "two/seed0": better[0], "two/seed1": better[1]}.items():
        measure(f"results/{name}/evaluate/e", right)
    for name in ("one", "two"):
        measure(f"results/references/{name}/rival/base/evaluate/e", answers(0.55, 2))
    overlap = Path("results/datasets/d/overlap/e")
    pq.write_table(pa.table({"row": list(SEEN), "share": [1.0] * len(SEEN)}), overlap / "test_rows.parquet")
    (overlap / "manifest.json").write_text('{"record": "of this test"}')
    return tmp_path


def compare(*words: str) -> Result:
    return CliRunner().invoke(group, ["compare", "--samples", "1000", *words])


def printed(*words: str) -> str:
    done = compare(*words)
    assert done.exit_code == 0, done.exception or done.output
    return done.output


def found(*words: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(printed(*words, "--json"))
    return told


def refused(*words: str) -> str:
    """What a person reads who asked for what can't be compared."""
    error = compare(*words).exception
    assert isinstance(error, PolarError) and error.exit_status == 2, error
    return str(error)


def test_before_and_after_in_a_sentence(project: Path) -> None:
    text = printed("two:base", "two")
    told = found("two:base", "two")
    (pair,) = told["pairs"]
    figure = pair["figures"]["accuracy"]
    after = json.loads(json.dumps(told["lots"]["two"]["accuracy"]))
    assert figure["difference"] == pytest.approx(after["value"] - told["lots"]["two:base"]["accuracy"]["value"], abs=1e-5)
    size, low, high = (f"{100 * value:.1f}" for value in (figure["difference"], *figure["interval"]))
    assert f"\ntwo is better than two:base by {size} points of accuracy, 95 % CI {low} to {high}.\n" in text
    (korean,) = [one["ko"] for one in told["sentences"]]
    assert korean == f"two 모델은 accuracy 기준으로 two:base 모델보다 {size}점 더 좋습니다(95 % 신뢰구간 {low}~{high})"


def test_several_seeds_are_a_mean_and_a_spread(project: Path) -> None:
    two = found("two:base", "two")["lots"]["two"]["accuracy"]
    first, second = two["by_run"].values()
    assert two["value"] == pytest.approx((first + second) / 2)
    assert two["spread"] == pytest.approx(abs(first - second) / 2**0.5, rel=1e-5)
    assert f"{100 * two['value']:.1f} ± {100 * two['spread']:.1f}" in printed("two:base", "two")
    run = found("two:base", "two:seed1")["lots"]["two:seed1"]["accuracy"]
    assert (run["value"], run["spread"]) == (second, None)


def test_the_clean_part_tells_another_story(project: Path) -> None:
    told = found("one:base", "one")
    whole, parts = told["pairs"][0]["figures"]["accuracy"], told["parts"]
    assert whole["verdict"] == "better" and whole["mcnemar"]["only_baseline"] == 0
    assert (parts["contaminated"]["rows"], parts["clean"]["rows"]) == (40, 160)
    clean, seen = (parts[part]["pairs"][0]["figures"]["accuracy"] for part in ("clean", "contaminated"))
    assert (clean["difference"], clean["interval"], clean["p"]) == (0, [0, 0], 1)
    assert seen["difference"] * 40 == pytest.approx(whole["difference"] * 200, rel=1e-4)
    (story,) = told["stories"]
    assert story["en"] == (
        "on the 160 clean rows alone one is not distinguishable from one:base in accuracy (the same on every row), "
        "so what all rows say comes from the 40 that overlap with training data"
    )
    assert "겹치지 않는 160행만 보면" in story["ko"]
    assert "the clean part: 160 rows" in printed("one:base", "one")


def test_who_is_better_everywhere_has_no_other_story(project: Path) -> None:
    assert found("two:base", "two")["stories"] == []


def test_overlaps_of_an_older_version_are_read_where_they_are_complete(project: Path) -> None:
    overlap = project / "results/datasets/d/overlap/e"
    (overlap / "test_rows.parquet").unlink()
    (overlap / "matches.jsonl").write_text("".join(json.dumps({"test_row": row, "training_row": 0}) + "\n" for row in [*SEEN, 3]))
    (overlap / "report.json").write_text(json.dumps({"test": {"overlapping": len(SEEN)}}))
    assert found("one:base", "one")["parts"]["contaminated"]["rows"] == 40
    (overlap / "report.json").write_text(json.dumps({"test": {"overlapping": 900}}))
    assert "did not write down which test rows overlap; remove its record.json" in refused("one:base", "one")


def test_all_pairs_and_holm(project: Path) -> None:
    told = found("one:base", "one", "two", "rival as two", "--all-pairs")
    assert [(pair["baseline"], pair["other"]) for pair in told["pairs"]][:3] == [("one:base", "one"), ("one:base", "two"), ("one", "two")]
    assert {figure["of"] for pair in told["pairs"] for figure in pair["figures"].values()} == {6}
    assert all(figure["p_holm"] >= figure["p"] for pair in told["pairs"] for figure in pair["figures"].values())
    (about,) = [one["en"] for one in told["sentences"] if one["lot"] == "two"]
    assert about.startswith("two is better than ") and about.count("; ") >= 2
    assert "two - one:base" in printed("one:base", "one", "two", "--all-pairs")


def test_paths_are_what_names_are(project: Path) -> None:
    by_name = found("one:base", "two:seed0")["pairs"][0]["figures"]
    for words in (
        ("results/one/base/evaluate/e", "results/two/seed0/evaluate/e"),
        ("results/one/base", "results/two/seed0"),
        ("a=results/one/base/evaluate/e/predictions.jsonl", "b=results/two/seed0/evaluate/e/predictions.jsonl", "--metrics", "accuracy"),
    ):
        assert found(*words)["pairs"][0]["figures"] == by_name
    assert found("results/one/base", "results/one/seed0")["parts"]["contaminated"]["rows"] == 40


def test_predictions_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, texts in (("mine", ["서울은 큰 도시다", "a cat sat"]), ("theirs", ["부산", "a dog sat"])):
        rows = zip(texts, ["서울은 아주 큰 도시다", "a cat sat down"], strict=True)
        Path(f"{name}.jsonl").write_text("".join(json.dumps({"prediction": one, "reference": other}) + "\n" for one, other in rows))
    assert "name some with --metrics" in refused("theirs.jsonl", "mine.jsonl")
    told = found("theirs=theirs.jsonl", "mine=mine.jsonl", "--metrics", "rouge,chrf" if has("chrf") else "rouge")
    assert told["lots"]["mine"]["rouge1"]["value"] == pytest.approx((6 / 7 + 6 / 7) / 2, rel=1e-5)
    assert "ROUGE-1 (x 100)" in printed("theirs=theirs.jsonl", "mine=mine.jsonl", "--metrics", "[{name: rouge, tokenizer: char}]")


def test_what_predictions_from_elsewhere_do_not_have_is_said(project: Path) -> None:
    for run in ("base", "seed0"):
        folder = project / f"results/one/{run}/evaluate/e"
        spec = json.loads((folder / "spec.json").read_text())
        (folder / "spec.json").write_text(json.dumps({**spec, "metrics": [{"name": "accuracy"}, {"name": "loss"}]}))
        measure(str(folder), answers(0.5, 0), loss=1.0, tokens=2)
    Path("x.jsonl").write_text(lines(answers(0.6, 5)))
    told = found("one:base", "one", "x=x.jsonl")
    assert [set(pair["figures"]) for pair in told["pairs"]] == [{"accuracy", "loss", "perplexity"}, {"accuracy"}]
    assert any(note.startswith("x: loss: metric `loss`: 200 of 200 rows have no loss") for note in told["notes"])


def has(metric: str) -> bool:
    from polar_tools import discovery

    return metric in discovery.names("metrics")


def reorder(rows: list[str]) -> list[str]:
    return random.Random(3).sample(rows, len(rows))


def without_hash(rows: list[str]) -> list[str]:
    return [json.dumps({**json.loads(row), "row": ""}) for row in rows]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda rows: rows[:150],
            "x has 150, and 150 are common to all; measure all of them on the same test rows, or compare on the common",
        ),
        (lambda rows: without_hash(rows)[:150], "x has 150 rows and one:base 200; some rows have no hash (`row`)"),
        (lambda rows: [row.replace("000000000", "abcabcabc") for row in rows], "no row is common to all: one:base has 200, x has 200"),
        (
            lambda rows: [row.replace('"yes"', '"maybe"') for row in without_hash(rows)],
            "row 1 of x has another reference than row 1 of one:base",
        ),
        (lambda rows: [rows[0], "{"], "x.jsonl, line 2: not JSON"),
        (lambda rows: ['{"text": "a"}'], "x.jsonl, line 1: not a prediction such as"),
        (lambda rows: [], "x.jsonl has no rows"),
    ],
)
def test_rows_that_are_not_the_same_are_refused(project: Path, change: Callable[[list[str]], list[str]], says: str) -> None:
    rows = Path("results/two/seed0/evaluate/e/predictions.jsonl").read_text().splitlines()
    Path("x.jsonl").write_text("\n".join(change(rows)))
    assert says in refused("one:base", "x=x.jsonl")


def test_rows_in_another_order_are_paired_by_their_hashes(project: Path) -> None:
    rows = Path("results/two/seed0/evaluate/e/predictions.jsonl").read_text().splitlines()
    Path("x.jsonl").write_text("\n".join(reorder(rows)))
    assert found("one:base", "x=x.jsonl")["pairs"][0]["figures"] == found("one:base", "two:seed0")["pairs"][0]["figures"]


def test_common_rows_are_compared_where_that_is_asked_for(project: Path) -> None:
    rows = Path("results/two/seed0/evaluate/e/predictions.jsonl").read_text().splitlines()
    Path("x.jsonl").write_text("\n".join(rows[20:]))
    told = found("one", "x=x.jsonl", "--common")
    assert told["rows"] == 180 and told["parts"]["contaminated"]["rows"] == 20
    assert "20 rows of one are left out: not all have them" in told["notes"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("onne", "two"), "`onne` is neither a file nor in config/config.yaml, did you mean `one`?"),
        (("two:seed7", "one"), "`two:seed7` is neither a file nor in config/config.yaml, did you mean `two:seed"),
        (("one", "other"), "one, other share no evaluation, so no rows"),
        (("one", "two", "--evaluation", "ee"), "there is no evaluation `ee` in config/config.yaml, did you mean `e`?"),
        (("one", "two", "--evaluation", "alone"), "one, two is not measured on `alone`, which has other, other:base, other:seed0"),
        (("one", "one"), "one is named twice"),
        (("one", "two", "--metrics", "acuracy"), "there is no `acuracy` in metrics, did you mean `accuracy`?"),
        (("one", "two", "--metrics", "rouge,loss"), "one: metric `loss`: 200 of 200 rows have no loss"),
        (("other:base", "other"), "results/other/base/evaluate/alone is not there yet: run `snakemake` first"),
        (("results/one/tokenize", "one"), "results/one/tokenize is no evaluation"),
        (("one", "two", "--config", "none.yaml"), "there is no config file none.yaml"),
    ],
)
def test_what_is_not_there_is_told(project: Path, words: tuple[str, ...], says: str) -> None:
    (project / "results/one/tokenize/manifest.json").write_text("{}")
    assert says in refused(*words)


def test_a_single_word_is_no_comparison(project: Path) -> None:
    done = compare("one")
    assert done.exit_code == 2 and "name at least two" in done.output


def test_a_single_row_is_compared_without_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(f"{name}.jsonl").write_text(lines([name == "a"]))
    text = printed("a.jsonl", "b.jsonl", "--metrics", "accuracy")
    assert "b.jsonl is not to be compared with a.jsonl in accuracy: 1 row can't tell." in text
    assert "1 row, 0 draws" in text


def planned(**changes: Any) -> Plan:
    return Plan(configs.parse({**CONFIG, **changes}))


def test_references_are_measured_as_each_experiment_measures_its_own(project: Path) -> None:
    plan = planned()
    assert plan.references == ["references/one/rival", "references/two/rival"]
    spec = json.loads(plan.artifacts["results/references/two/rival/base/evaluate/e"].frozen)
    own = json.loads(plan.artifacts["results/two/base/evaluate/e"].frozen)
    assert spec["experiment"].pop("model") == "resources/models/rival/snapshot" != own["experiment"].pop("model")
    assert spec.pop("tokenizer") == "results/references/two/rival/tokenize/tokenizer" != own.pop("tokenizer")
    assert spec == own
    alike = {name: {**fields, "max_length": 9, "seeds": [0]} for name, fields in CONFIG["experiments"].items()}
    assert planned(experiments=alike).references == ["references/one/rival"]
    order = list(plan.artifacts)
    assert all(order.index(above) < order.index(path) for path, made in plan.artifacts.items() for above in made.spec.inputs())


def test_what_nobody_was_trained_on_is_not_contaminated(project: Path) -> None:
    dataset = {**CONFIG["datasets"]["d"], "decontaminate": {"policy": "drop", "evaluations": ["alone"]}}
    specs = {name: json.loads(planned(datasets={"d": dataset}).artifacts[f"results/comparisons/{name}"].frozen) for name in ("e", "alone")}
    assert specs["e"]["experiments"]["one"]["seen"] == {"d": "results/datasets/d/overlap/e/training_rows.parquet"}
    assert specs["alone"]["experiments"]["other"]["seen"] == {}


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("rivl", "evaluations.e.references.0: `rivl` is neither in `models` nor a .jsonl file of predictions, did you mean `rival`?"),
        ("one", "`one` is an experiment, and experiments that name this evaluation are compared without being asked"),
        ("none.jsonl", "there is no file none.jsonl"),
    ],
)
def test_a_reference_that_is_none(project: Path, reference: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        planned(evaluations={**CONFIG["evaluations"], "e": {**CONFIG["evaluations"]["e"], "references": [reference]}}).inputs(
            "results/comparisons/e"
        )


def test_the_code_of_a_reference_is_pinned_too(project: Path) -> None:
    models = {**CONFIG["models"], "rival": {"source": "hf://a/b"}}
    trusting = {name: {**fields, "trust_remote_code": True} for name, fields in CONFIG["experiments"].items()}
    with pytest.raises(ConfigError, match="trust_remote_code: would run whatever code hf://a/b has tomorrow"):
        planned(models=models, experiments=trusting)
