"""The report: what a reader finds on the pages, and what a program finds beside it."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from polar_tools import config as configs
from polar_tools import scores
from polar_tools.artifact import sha256_of
from polar_tools.plan import Plan
from tests import tiny


class Page(HTMLParser):
    """What a browser would see: ids, addresses, the cells of every table row, all text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags, self.ids, self.addresses, self.rows, self.text = set(), [], [], [], ""
        self.in_cell = False
        self.source = file.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name in {"href", "src", "srcset", "data", "action", "poster", "xlink:href"}:
                self.addresses.append(value)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in {"td", "th"}

    def handle_data(self, data):
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data.strip()}".strip()


def page_of(project: Path, name: str = "index.html") -> Page:
    return Page(project / "results/report" / name)


def pages_of(project: Path) -> dict[str, Page]:
    report = project / "results/report"
    return {path.relative_to(report).as_posix(): Page(path) for path in sorted(report.rglob("*.html"))}


def row_of(page: Page, *begins: str) -> list[str]:
    return next(row for row in page.rows if row[: len(begins)] == [*begins])


def make_again(project: Path, name: str = "index.html", **environment: str) -> Page:
    (project / "results/report/record.json").unlink()
    words = ("report", "results/report/spec.json")
    done = tiny.run("polar-tools", *words, cwd=project, **environment) if environment else tiny.inside(*words, cwd=project)
    assert done.returncode == 0, done.stderr
    return page_of(project, name)


def rewrite_predictions(project: Path, evaluation: str, **texts: str) -> None:
    file = project / evaluation / "predictions.jsonl"
    rows = [{**json.loads(line), **texts} for line in file.read_text(encoding="utf-8").splitlines()]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def test_there_is_a_page_an_experiment_in_both_languages(finished):
    names = {"index.html", "say.html", "sort.html"}
    assert set(pages_of(finished)) == names | {f"ko/{name}" for name in names}


def test_pages_need_nothing_but_themselves(finished):
    for page in pages_of(finished).values():
        assert not page.tags & {"iframe", "object", "embed", "base", "img"}
        assert not re.search(r"https?:|@import|url\((?!#)", page.source)
        assert len(page.source.encode()) < 3_000_000


def test_every_link_leads_to_one_place(finished):
    report, pages = finished / "results/report", pages_of(finished)
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for address in page.addresses:
            if address == "data:,":
                continue
            there, _, place = address.partition("#")
            target = (report / name).parent.joinpath(there).resolve() if there else (report / name).resolve()
            assert target.is_file(), f"{name}: {address}"
            assert not place or place in pages[target.relative_to(report.resolve()).as_posix()].ids, f"{name}: {address}"


def test_figures_are_those_of_the_evaluations(finished):
    figures = json.loads((finished / "results/report/metrics.json").read_text())
    seen = 0
    for experiment, evaluation in (("say", "sayings"), ("sort", "kinds")):
        for run in ("base", "seed0"):
            report = json.loads((finished / f"results/{experiment}/{run}/evaluate/{evaluation}/report.json").read_text())
            assert figures[experiment][evaluation][run] == report["metrics"]
            seen += len(report["metrics"])
    assert seen == sum(len(run) for one in figures.values() for evaluation in one.values() for run in evaluation.values())


def test_figures_are_a_table_for_programs_too(finished):
    figures = json.loads((finished / "results/report/metrics.json").read_text())
    with (finished / "results/report/metrics.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    found = {(line["experiment"], line["evaluation"], line["run"], line["metric"]): float(line["value"]) for line in lines}
    assert found == {
        (experiment, evaluation, run, metric): value
        for experiment, evaluations in figures.items()
        for evaluation, runs in evaluations.items()
        for run, metrics in runs.items()
        for metric, value in metrics.items()
    }


def test_everything_the_pages_show_is_there_for_programs(finished):
    told = json.loads((finished / "results/report/report.json").read_text())["experiments"]["sort"]
    assert (
        told["evaluations"]["kinds"]["runs"]["seed0"]["metrics"]
        == json.loads((finished / "results/sort/seed0/evaluate/kinds/report.json").read_text())["metrics"]
    )
    measured = json.loads((finished / "results/sort/seed0/train/manifest.json").read_text())["measured"]
    assert [cost["seconds"] for cost in told["cost"] if cost["path"] == "results/sort/seed0/train"] == [measured["seconds"]]
    assert sum(map(sum, told["evaluations"]["kinds"]["confusion"]["counts"])) == 12
    assert told["findings"]["seed0"].keys() >= {"repeating_rows"}


def test_table_shows_before_after_and_change(finished):
    figures = json.loads((finished / "results/report/metrics.json").read_text())
    page, say = page_of(finished), figures["say"]["sayings"]
    rouge = row_of(page, "say", "sayings", "rouge1")
    assert [cell.split()[0] for cell in rouge[3:5]] == [f"{100 * say[run]['rouge1']:.1f}" for run in ("base", "seed0")]
    sort = figures["sort"]["kinds"]
    accuracy = row_of(page, "sort", "kinds", f"accuracy majority {100 * sort['base']['majority_accuracy']:.1f}")
    assert accuracy[5] == f"{100 * (sort['seed0']['accuracy'] - sort['base']['accuracy']):+.1f}".replace("-", "−")
    for one, evaluation in (("say", "sayings"), ("sort", "kinds")):
        assert row_of(page, one, evaluation, "loss")[3].split()[0] == f"{figures[one][evaluation]['base']['loss']:.3f}"
    assert not any(row[2].startswith("majority") for row in page.rows if len(row) > 2)


def test_an_interval_stands_below_its_number(project):
    for run in ("base", "seed0"):
        file = project / f"results/say/{run}/evaluate/sayings/record.json"
        record = json.loads(file.read_text())
        record["facts"]["intervals"] = {"rouge1": [0.125, 0.25]}
        file.write_text(json.dumps(record))
    assert row_of(make_again(project), "say", "sayings", "rouge1")[4].endswith("12.5 – 25.0")
    assert ",rouge1," in (project / "results/report/metrics.csv").read_text()
    assert re.search(r"^say,sayings,seed0,rouge1,[\d.]+,0.125,0.25$", (project / "results/report/metrics.csv").read_text(), re.MULTILINE)


def test_what_may_be_concluded_is_told_in_both_languages(finished):
    for name in ("sayings", "kinds"):
        told = json.loads((finished / f"results/comparisons/{name}/report.json").read_text())
        assert told["sentences"]
        for sentence in told["sentences"]:
            assert sentence["en"] in page_of(finished).text
            assert sentence["ko"] in page_of(finished, "ko/index.html").text
        pair = told["pairs"][0]
        assert row_of(page_of(finished), pair["baseline"], pair["other"])[2] in pair["figures"]


def test_every_number_leads_to_the_mirrored_bytes(finished):
    for experiment in ("say", "sort"):
        overview, page = page_of(finished), page_of(finished, f"{experiment}.html")
        model = "llama" if experiment == "say" else "bert"
        mirrored = [file for file in finished.glob(f"resources/models/{model}/snapshot/**/*") if file.is_file()]
        assert mirrored
        assert all(sha256_of(file) in page.text and sha256_of(file) in overview.text for file in mirrored)
        for record in finished.glob(f"results/{experiment}/*/evaluate/*/record.json"):
            place = record.parent.relative_to(finished)
            assert f'href="{experiment}.html#{place}"' in overview.source
            assert place.as_posix() in page.ids
            assert sha256_of(record) in page.text
            assert sha256_of(record.with_name("report.json")) in page.text
        assert f"file://assets/{model}" in page.text


def test_page_says_what_was_trained_and_on_what(finished):
    page = page_of(finished, "say.html")
    assert "as an adapter (lora of rank 2)" in page.text
    assert "4 steps of 4 rows" in page.text
    assert ["learning_rate", "0.01", "Peak learning rate."] in page.rows
    assert ["source", "72", "", ""] in page.rows
    assert ["test", "12", "", ""] in page.rows
    assert "svg" in page.tags
    assert "한 번에 4행씩 4스텝" in page_of(finished, "ko/say.html").text


def test_confusion_matrix_counts_every_test_row(finished):
    rows = [json.loads(line) for line in (finished / "results/sort/seed0/evaluate/kinds/predictions.jsonl").read_text().splitlines()]
    page = page_of(finished, "sort.html")
    for label in ("cat", "dog", "fish"):
        taken = [sum(row["reference"] == label and row["prediction"] == other for row in rows) for other in ("cat", "dog", "fish")]
        assert [label, *map(str, taken)] in page.rows


def test_time_and_memory_are_those_of_the_manifests(project):
    file = project / "results/sort/seed0/train/manifest.json"
    manifest = json.loads(file.read_text())
    manifest["measured"] |= {"seconds": 7512.0, "peak_memory_mb": 2048, "energy_joules": {"cpu": 7200.0, "gpu": 3600.0}}
    file.write_text(json.dumps(manifest))
    row = row_of(make_again(project, "sort.html"), "results/sort/seed0/train")
    assert row == ["results/sort/seed0/train", "train", "2 h 5 min", "2.15 GB", "–", "3 Wh"]


def test_differences_are_marked_in_the_texts(project):
    rewrite_predictions(project, "results/say/base/evaluate/sayings", reference="강아지는 크게 짖습니다")
    rewrite_predictions(project, "results/say/seed0/evaluate/sayings", prediction="강아지는 작게 짖습니다")
    source = make_again(project, "say.html").source
    assert "</b>강아지는 <mark>크게</mark> 짖습니다</div>" in source
    assert "</b>강아지는 <mark>작게</mark> 짖습니다</div>" in source


def test_one_language_has_no_link_to_another(project, monkeypatch):
    config = project / "config/config.yaml"
    config.write_text(config.read_text().replace("project_name: tiny", "project_name: tiny\nreport_language: ko"), encoding="utf-8")
    monkeypatch.chdir(project)
    Plan(configs.load(config)).settle()
    page = make_again(project)
    assert set(pages_of(project)) == {"index.html", "say.html", "sort.html"}
    assert '<html lang="ko">' in page.source and "hreflang" not in page.source


def test_a_page_that_was_deleted_is_made_again(project):
    (project / "results/report/index.html").unlink()
    done = tiny.inside("report", "results/report/spec.json", cwd=project)
    assert "made in" in done.stdout, done.stderr
    assert (project / "results/report/index.html").is_file()


def test_snakemake_report_carries_the_pages_with_captions(project):
    done = tiny.run("snakemake", "--report", "all.html", cwd=project)
    assert done.returncode == 0, done.stderr
    whole = (project / "all.html").read_text(encoding="utf-8")
    for name in ("index.html", "say.html", "sort.html", "metrics.csv", "loss.csv", "report.json"):
        assert f'"name": "{name}"' in whole or f"Adding {name}" in done.stderr, name
    assert "All experiments beside each other" in whole and "what went wrong and what would mend it" in whole


def test_text_of_the_data_is_shown_and_never_run(project):
    rewrite_predictions(project, "results/say/seed0/evaluate/sayings", prediction="<script>alert(1)</script> 안녕하세요")
    rewrite_predictions(project, "results/say/base/evaluate/sayings", input='"><img src=x onerror=alert(2)>')
    page = make_again(project, "say.html")
    assert "img" not in page.tags
    assert "<script>alert" not in page.source
    assert "<script>alert(1)</script> 안녕하세요" in page.text


def test_long_texts_do_not_fill_the_page(project):
    before = len(page_of(project, "say.html").source)
    rewrite_predictions(project, "results/say/base/evaluate/sayings", input="endless " * 100_000)
    assert len(make_again(project, "say.html").source) < before + 20_000


def test_same_results_give_the_same_bytes(project, tmp_path):
    files = ("index.html", "say.html", "ko/sort.html", "metrics.json", "metrics.csv", "report.json", "record.json")
    before = [(project / "results/report" / name).read_bytes() for name in files]
    for manifest in [*project.glob("results/**/manifest.json"), *project.glob("resources/**/manifest.json")]:
        circumstances = json.loads(manifest.read_text()) | {"host": "elsewhere", "started": "1970-01-01T00:00:00+00:00"}
        manifest.write_text(json.dumps(circumstances))
    elsewhere = Path(shutil.move(project, tmp_path / "elsewhere"))
    make_again(elsewhere, PYTHONHASHSEED="7", TZ="Asia/Seoul", LC_ALL="C")
    assert [(elsewhere / "results/report" / name).read_bytes() for name in files] == before


def test_several_runs_give_mean_and_spread():
    (score,) = scores.compare({"base": {"rougeL": 0.2}, "seed0": {"rougeL": 0.4}, "seed1": {"rougeL": 0.6}}, {"rougeL": "rouge"})
    assert score.mean == pytest.approx(0.5)
    assert score.spread == pytest.approx(0.1 * 2**0.5)
    assert score.change == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("name", "before", "after", "verdict"),
    [
        ("rouge1", 0.1, 0.2, "better"),
        ("rouge1", 0.2, 0.1, "worse"),
        ("loss", 3, 2, "better"),
        ("perplexity", 3, 4, "worse"),
        ("loss", 2, 2, "same"),
    ],
)
def test_less_loss_is_better(name, before, after, verdict):
    (score,) = scores.compare({"base": {name: before}, "seed0": {name: after}}, {name: "rouge" if name == "rouge1" else "loss"})
    assert score.verdict == verdict


def test_majority_stands_beside_its_metric_and_losses_behind():
    before = {"loss": 2.0, "majority_f1": 0.3, "majority_accuracy": 0.4, "accuracy": 0.1}
    given_by = {"loss": "loss", "majority_f1": "majority", "majority_accuracy": "majority", "accuracy": "accuracy"}
    found = scores.compare({"base": before, "seed0": before | {"accuracy": 0.9}}, given_by)
    assert [(score.name, score.majority) for score in found] == [("accuracy", 0.4), ("majority_f1", None), ("loss", None)]


@pytest.mark.parametrize(
    ("value", "digits", "signed", "shown"),
    [(-1.8369, 3, True, "−1.837"), (1234.56, 1, False, "1,234.6"), (-0.01, 1, True, "+0.0")],
)
def test_numbers_are_shown_as_people_write_them(value, digits, signed, shown):
    assert scores.plain(value, digits, signed) == shown
