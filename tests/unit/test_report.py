"""The report: what a reader finds on the page, and what a program finds beside it."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from polar_tools import scores
from polar_tools.artifact import sha256_of
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


def page_of(project: Path) -> Page:
    return Page(project / "results/report/index.html")


def make_again(project: Path, **environment: str) -> Page:
    (project / "results/report/record.json").unlink()
    done = tiny.run("polar-tools", "report", "results/report/spec.json", cwd=project, **environment)
    assert done.returncode == 0, done.stderr
    return page_of(project)


def rewrite_predictions(project: Path, evaluation: str, **texts: str) -> None:
    file = project / evaluation / "predictions.jsonl"
    rows = [{**json.loads(line), **texts} for line in file.read_text(encoding="utf-8").splitlines()]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def test_page_needs_nothing_but_itself(finished):
    page = page_of(finished)
    assert all(address.startswith(("#", "data:,")) for address in page.addresses)
    assert not page.tags & {"iframe", "object", "embed", "base", "img"}
    assert not re.search(r"https?:|@import|url\((?!#)", page.source)
    assert len(page.source.encode()) < 3_000_000


def test_every_link_leads_to_one_place(finished):
    page = page_of(finished)
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)


def test_figures_are_those_of_the_evaluations(finished):
    figures = json.loads((finished / "results/report/metrics.json").read_text())
    seen = 0
    for experiment, evaluation in (("say", "sayings"), ("sort", "kinds")):
        for run in ("base", "seed0"):
            report = json.loads((finished / f"results/{experiment}/{run}/evaluate/{evaluation}/report.json").read_text())
            assert figures[experiment][evaluation][run] == report["metrics"]
            seen += len(report["metrics"])
    assert seen == sum(len(run) for one in figures.values() for evaluation in one.values() for run in evaluation.values())


def test_table_shows_before_after_and_change(finished):
    figures = json.loads((finished / "results/report/metrics.json").read_text())
    rows = page_of(finished).rows
    rouge, say = next(row for row in rows if row[0] == "rouge1"), figures["say"]["sayings"]
    assert rouge[1:3] == [f"{100 * say[run]['rouge1']:.1f}" for run in ("base", "seed0")]
    accuracy, sort = next(row for row in rows if row[0].startswith("accuracy ")), figures["sort"]["kinds"]
    assert accuracy[0] == f"accuracy majority {100 * sort['base']['majority_accuracy']:.1f}"
    assert accuracy[3] == f"{100 * (sort['seed0']['accuracy'] - sort['base']['accuracy']):+.1f}".replace("-", "−")
    losses = [row[1] for row in rows if row[0] == "loss"]
    assert losses == [f"{figures[one][evaluation]['base']['loss']:.3f}" for one, evaluation in (("say", "sayings"), ("sort", "kinds"))]
    assert not any(row[0].startswith("majority") for row in rows if row)


def test_every_number_leads_to_the_mirrored_bytes(finished):
    page = page_of(finished)
    mirrored = [file for file in finished.glob("resources/*/*/snapshot/**/*") if file.is_file()]
    assert mirrored
    assert all(sha256_of(file) in page.text for file in mirrored)
    for record in finished.glob("results/*/*/evaluate/*/record.json"):
        assert f'href="#{record.parent.relative_to(finished)}"' in page.source
        assert sha256_of(record) in page.text
        assert sha256_of(record.with_name("report.json")) in page.text
    assert "file://assets/llama" in page.text


def test_page_says_what_was_trained_and_on_what(finished):
    page = page_of(finished)
    assert "as an adapter (lora of rank 2)" in page.text
    assert "4 steps of 4 rows" in page.text
    assert ["learning_rate", "0.01", "Peak learning rate."] in page.rows
    assert ["source", "72", "", ""] in page.rows
    assert ["test", "12", "", ""] in page.rows
    assert "svg" in page.tags


def test_text_of_the_data_is_shown_and_never_run(project):
    rewrite_predictions(project, "results/say/seed0/evaluate/sayings", prediction="<script>alert(1)</script> 안녕하세요")
    rewrite_predictions(project, "results/say/base/evaluate/sayings", input='"><img src=x onerror=alert(2)>')
    page = make_again(project)
    assert "img" not in page.tags
    assert "<script>alert" not in page.source
    assert "<script>alert(1)</script> 안녕하세요" in page.text


def test_long_texts_do_not_fill_the_page(project):
    before = len(page_of(project).source)
    rewrite_predictions(project, "results/say/base/evaluate/sayings", input="endless " * 100_000)
    assert len(make_again(project).source) < before + 20_000


def test_same_results_give_the_same_bytes(project, tmp_path):
    files = ("index.html", "metrics.json", "record.json")
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
