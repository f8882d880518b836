"""Rows to train on and rows held out: from files of their own, split by likeness, mixed, and looked at before training."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from polar_tools.datasets import read_rows
from tests import learning
from tests.tiny import REPOSITORY, inside, run

Files = dict[str, str]
SPLITS: Files = {
    "train-00000-of-00002.csv": "text,label\n하나,a\n둘,b\n",
    "train-00001-of-00002.csv": "text,label\n셋,a\n",
    "validation.csv": "text,label\n넷,b\n",
    "test.csv": "text,label\n다섯,a\n여섯,b\n",
}


def write(folder: Path, files: Files) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def prepare(folder: Path, *settings: str, source: str = "raw") -> subprocess.CompletedProcess[str]:
    words = [word for setting in settings for word in ("--set", setting)]
    return inside("prepare", "--source", source, "--output", "prepared", *words, cwd=folder)


def texts(data: Path, part: str, column: str = "text") -> list[Any]:
    return [row[column] for row in read_rows(data, part)]


@pytest.mark.parametrize(
    ("files", "settings", "train", "test"),
    [
        (SPLITS, ["train_data_split=train", "test_data_split=test"], ["하나", "둘", "셋"], ["다섯", "여섯"]),
        (SPLITS, ["train_data_split=train", "test_data_split=validation"], ["하나", "둘", "셋"], ["넷"]),
        (SPLITS, ["train_data='train-*'", "test_data=[validation.csv, test.csv]"], ["하나", "둘", "셋"], ["다섯", "여섯", "넷"]),
        (SPLITS, ["train_data=train-00001-of-00002.csv", "test_data=test.csv"], ["셋"], ["다섯", "여섯"]),
        ({"a/x.csv": "text\n하나\n", "b/x.csv": "text\n둘\n"}, ["train_data_dir=a", "test_data_dir=b"], ["하나"], ["둘"]),
        ({"a/x.csv": "text\n하나\n", "b/x.csv": "text\n둘\n"}, ["test_data_dir=b/"], ["하나"], ["둘"]),
        ({"x.jsonl": '{"text": "하나"}\n'}, ["test_source=more"], ["하나"], ["셋"]),
        ({"x.jsonl": '{"text": "하나"}\n'}, ["train_data_split=train", "test_source=more"], ["하나"], ["셋"]),
    ],
)
def test_train_and_test_come_from_files_of_their_own(
    files: Files, settings: list[str], train: list[str], test: list[str], tmp_path: Path
) -> None:
    write(tmp_path / "raw", files)
    write(tmp_path / "more", {"y.jsonl": '{"text": "셋", "extra": 1}\n'})
    done = prepare(tmp_path, *settings)
    assert done.returncode == 0, done.stderr
    data = tmp_path / "prepared/dataset/data"
    assert (texts(data, "train"), texts(data, "test")) == (train, test)
    report = json.loads((data.parent / "report.json").read_bytes())
    assert report["read"]["rows"] == sum(report["split"].values()) == len(train) + len(test)


def test_each_part_goes_through_the_filters_by_itself(tmp_path: Path) -> None:
    write(tmp_path / "raw", {"train.csv": "text\n하나\n하나\n둘\n", "test.csv": "text\n하나\n\n다섯\n다섯\n"})
    done = prepare(tmp_path, "train_data_split=train", "test_data_split=test", "filters=[{name: duplicates, columns: [text]}]")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "prepared/dataset"
    assert (texts(folder / "data", "train"), texts(folder / "data", "test")) == (["하나", "둘"], ["하나", "다섯"])
    steps = json.loads((folder / "report.json").read_bytes())["filters"]
    assert [(step["part"], step["dropped"]) for step in steps] == [("train", 1), ("test", 1)]
    assert "test: duplicates" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ([], "the files are of several splits (test, train, validation)"),
        (["test_data_split=test"], "the files are of several splits (train, validation)"),
        (["train_data=train.csv"], "train_data: nothing in the source fits `train.csv`"),
        (["train_data_split=training"], "train_data_split: nothing in the source fits `training`; it holds `test.csv`, `train-0"),
        (["train_data_split=train", "test_data_dir=held"], "test_data_dir: nothing in the source fits `held`"),
        (["test_data=test.csv", "split.test_size=1"], "`test_data` and `split` both say which rows are held out"),
        (["split.test_size=1", "train_test_split_ratio=0.5"], "`split` and `train_test_split_ratio` both say"),
    ],
)
def test_what_is_unclear_is_asked_back(settings: list[str], says: str, tmp_path: Path) -> None:
    write(tmp_path / "raw", SPLITS)
    done = prepare(tmp_path, *settings)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert not (tmp_path / "prepared/dataset/manifest.json").exists()


def test_all_splits_may_be_taken_as_one(tmp_path: Path) -> None:
    write(tmp_path / "raw", SPLITS)
    done = prepare(tmp_path, "train_data='*'", "train_test_split_ratio=0.5")
    assert done.returncode == 0, done.stderr
    assert len(texts(tmp_path / "prepared/dataset/data", "train")) == len(texts(tmp_path / "prepared/dataset/data", "test")) == 3


def test_columns_of_other_types_in_train_and_test_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "raw", {"train.jsonl": '{"text": "a", "n": 1}\n', "test.jsonl": '{"text": "b", "n": "one"}\n'})
    done = prepare(tmp_path, "train_data_split=train", "test_data_split=test")
    assert done.returncode == 2 and "of different types in train and test" in done.stderr and "`n`" in done.stderr.replace("n ", "`n` ")


def test_messages_in_a_csv_file(tmp_path: Path) -> None:
    turns = [[{"role": "user", "content": f'뭐 "{n}"?'}, {"role": "assistant", "content": f"답 {n}"}] for n in range(4)]
    turns[3][1]["name"] = "polar"  # a key that only the last row has
    quoted = [json.dumps(row, ensure_ascii=False).replace('"', '""') for row in turns]
    write(tmp_path / "raw", {"x.csv": "messages\n" + "".join(f'"{row}"\n' for row in quoted)})
    done = prepare(tmp_path, "json_columns=[messages]", "split={test_size: 1}")
    assert done.returncode == 0, done.stderr
    data = tmp_path / "prepared/dataset/data"
    assert json.loads((data.parent / "report.json").read_bytes())["shape"]["name"] == "messages"
    found = [row for part in ("train", "test") for row in texts(data, part, "messages")]
    assert sorted(row[1]["content"] for row in found) == [f"답 {n}" for n in range(4)]
    assert [turn["name"] for row in found for turn in row if turn["name"]] == ["polar"]
    write(tmp_path / "raw", {"x.csv": "messages\n[]\n\"[{'role': user()}]\"\n"})
    refused = prepare(tmp_path, "json_columns=[messages]")
    assert refused.returncode == 2 and "row 2: the text in `messages` is not JSON" in refused.stderr


def test_near_duplicates_stand_on_one_side(tmp_path: Path) -> None:
    words = ["가나다라", "마바사아", "자차카타", "파하거너", "더러머버", "서어저처", "커터퍼허", "고노도로", "모보소오", "조초코토"]
    rows = [
        (f"{topic}번 글: {' '.join(words[topic % 7 :])} {topic * 7919} {'!' * copy}", f"w{topic % 5}")
        for topic in range(40)
        for copy in range(3)
    ]
    write(tmp_path / "raw", {"x.csv": "text,writer\n" + "".join(f"{text},{writer}\n" for text, writer in rows)})
    done = prepare(tmp_path, "split={test_size: 20, near_duplicates: {columns: [text], threshold: 1}}")
    assert done.returncode == 0, done.stderr
    data = tmp_path / "prepared/dataset/data"
    train, test = ({text.split("번")[0] for text in texts(data, part)} for part in ("train", "test"))
    assert len(test) == 7 and not train & test
    both = prepare(tmp_path, "split={test_size: 20, group: writer, near_duplicates: {columns: [text], threshold: 1}}")
    assert both.returncode == 0, both.stderr
    writers, others = (set(texts(data, part, "writer")) for part in ("train", "test"))
    assert not writers & others


def test_held_out_rows_are_asked_for(tmp_path: Path) -> None:
    """On its own a tenth is held out; a config that holds out nothing is warned, and can't be measured."""
    write(tmp_path / "raw", {"x.csv": "text\n" + "".join(f"{n}\n" for n in range(50))})
    assert prepare(tmp_path).returncode == 0
    assert len(texts(tmp_path / "prepared/dataset/data", "test")) == 5
    project(tmp_path, {"d": {"source": "file://raw/x.csv"}})
    assert snakemake(tmp_path).returncode == 0
    assert len(texts(tmp_path / "results/datasets/d/data", "train")) == 50
    assert "warning: no row is held out" in (tmp_path / "logs/datasets/d.log").read_text()
    assert "no row is held out" in (tmp_path / "results/datasets/d/report.html").read_text(encoding="utf-8")
    project(tmp_path, {"d": {"source": "file://raw/x.csv"}}, evaluations={"e": {"dataset": "d"}})
    refused = run("polar-tools", "check", cwd=tmp_path)
    assert refused.returncode == 2 and "nothing of `d` is held out" in refused.stderr


def project(folder: Path, datasets: dict[str, Any], **sections: Any) -> None:
    for name in ("Snakefile", "workflow", "profiles"):
        if not (folder / name).exists():
            (folder / name).symlink_to(REPOSITORY / name)
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config/config.yaml").write_text(json.dumps({"datasets": datasets, **sections}), encoding="utf-8")


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("snakemake", "--workflow-profile", "none", *arguments, cwd=folder)


NUMBERS = {
    "few": {"source": "file://raw/few.csv", "split": {"test_size": 10}},
    "many": {"source": "file://raw/many.csv", "split": {"test_size": 20}},
}


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    write(
        tmp_path / "raw",
        {f"{name}.csv": "text\n" + "".join(f"{name} {n}\n" for n in range(rows)) for name, rows in (("few", 110), ("many", 420))},
    )
    return tmp_path


@pytest.mark.parametrize(("until", "few", "many"), [("first_exhausted", 100, 300), ("all_exhausted", 133, 400)])
def test_mixture(until: str, few: int, many: int, numbers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [{"dataset": "few", "weight": 1}, {"dataset": "many", "weight": 3}]
    project(numbers, NUMBERS, mixtures={"both": {"parts": parts, "until": until, "seed": 3}})
    monkeypatch.chdir(numbers)
    learning.make("config/config.yaml")
    folder = numbers / "results/datasets/both"
    mixed = texts(folder / "data", "train")
    own = {name: texts(numbers / f"results/datasets/{name}/data", "train") for name in NUMBERS}
    taken = {name: [text for text in mixed if text.startswith(name)] for name in NUMBERS}
    assert {name: len(rows) for name, rows in taken.items()} == {"few": few, "many": many}
    assert all(set(rows) <= set(own[name]) for name, rows in taken.items())
    if until == "all_exhausted":
        assert all(set(rows) == set(own[name]) for name, rows in taken.items())
    else:
        assert len(set(mixed)) == len(mixed)
    halves = [sum(text.startswith("few") for text in half) for half in (mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :])]
    assert min(halves) > few / 4, "the datasets are interleaved"
    assert sorted(texts(folder / "data", "test")) == sorted(
        text for name in NUMBERS for text in texts(folder.parent / name / "data", "test")
    )
    bytes_before = [path.read_bytes() for path in sorted((folder / "data").iterdir())]
    subprocess.run(["rm", "-r", str(folder)], check=True)
    learning.make("config/config.yaml")
    assert [path.read_bytes() for path in sorted((folder / "data").iterdir())] == bytes_before
    assert inside("verify", "results", cwd=numbers).returncode == 0


def test_datasets_without_a_column_in_common_are_not_mixed(numbers: Path) -> None:
    other = {**NUMBERS["many"], "columns": {"body": "text"}, "shape": "none"}
    project(numbers, {**NUMBERS, "many": other}, mixtures={"both": {"parts": [{"dataset": "few"}, {"dataset": "many"}]}})
    assert snakemake(numbers).returncode == 1
    said = (numbers / "logs/datasets/both.log").read_text(encoding="utf-8")
    assert "there is no column in common: few has text; many has body" in said


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        (
            {"mixtures": {"m": {"parts": [{"dataset": "few"}, {"dataset": "meny"}]}}},
            "`meny` is not defined in `datasets`, did you mean `many`?",
        ),
        ({"mixtures": {"m": {"parts": [{"dataset": "few"}, {"dataset": "few"}]}}}, "few stands twice"),
        ({"mixtures": {"few": {"parts": [{"dataset": "few"}, {"dataset": "many"}]}}}, "mixtures.few: a dataset has this name too"),
        ({"mixtures": {"m": {"parts": [{"dataset": "few"}, {"dataset": "many", "weight": 0}]}}}, "weight: must be greater than 0"),
    ],
)
def test_mixtures_that_make_no_sense(sections: dict[str, Any], says: str, numbers: Path) -> None:
    project(numbers, NUMBERS, **sections)
    done = run("polar-tools", "check", cwd=numbers)
    assert done.returncode == 2 and says in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("expect", "says"),
    [
        ({"rows": {"min": 6}}, "at least 6 rows: there are 5"),
        ({"rows": {"min": 1, "max": 4}}, "from 1 to 4 rows: there are 5"),
        ({"labels": ["a", "b", "c"]}, "the labels a, b, c: c not in the training rows"),
        ({"labels": ["a"]}, "the labels a: there is also b"),
        ({"unique": ["text", "label"]}, "no value of `label` twice: 3 rows repeat one, such as `"),
        ({"pattern": {"text": "^[가-힣]+$", "label": "^a"}}, "`^a` in every `label`: 2 rows are without, such as `b`"),
        ({"pattern": {"text": "(?<=a)b"}}, "invalid perl operator"),
        ({"unique": ["txt"]}, "no column `txt`, did you mean `text`?"),
        ({"labels": ["a", "b"], "rows": {"min": 5, "max": 5}, "unique": ["text"], "pattern": {"text": "."}}, ""),
    ],
)
def test_expectations(expect: dict[str, Any], says: str, tmp_path: Path) -> None:
    write(tmp_path / "raw", {"x.csv": "text,label\n하나,a\n둘,b\n셋,a\n넷,b\n다섯,a\n"})
    done = prepare(tmp_path, f"expect={json.dumps(expect)}", "split={test_size: 1, seed: 1}")
    assert says in done.stderr and done.returncode == (2 if says else 0), done.stderr
    assert (tmp_path / "prepared/dataset/expect/manifest.json").exists() == (not says)
