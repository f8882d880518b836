"""`polar-tools score`: predictions from anywhere, without a model."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from polar_tools.cli import group
from tests.tiny import run

ROWS = [{"prediction": "서울은 큰 도시다", "reference": "서울은 아주 큰 도시다"}, {"prediction": "a cat", "reference": "a cat", "mine": 1}]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    return str(path)


def score(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(group, ["score", *words], input=stdin)


def test_figures_as_json(file: str) -> None:
    done = score(file, "--metrics", "rouge", "--tokenizer", "word", "--json")
    figures = json.loads(done.stdout)
    assert list(figures) == ["rouge1", "rouge2", "rougeL", "rougeLsum", "rouge_sum"]
    assert figures["rouge1"] == pytest.approx((2 * (3 / 4) / (1 + 3 / 4) + 1) / 2)
    assert figures["rouge_sum"] == pytest.approx(sum(figures[name] for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")))


def test_standard_input_and_options_of_metrics(file: str) -> None:
    text = Path(file).read_text(encoding="utf-8")
    words, chars = (score("-", "-o", f"rouge.tokenizer={name}", "--json", stdin=text) for name in ("word", "char"))
    assert json.loads(words.stdout)["rouge1"] < json.loads(chars.stdout)["rouge1"]
    assert "rouge1: 0." in score("-", stdin=text).stdout


def test_it_needs_no_torch(file: str) -> None:
    code = f"import sys; sys.argv = ['polar-tools', 'score', {file!r}, '--json']\nfrom polar_tools.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit: pass\n"
    code += "heavy = {'torch', 'transformers', 'pyarrow', 'datasets'} & set(sys.modules)\nassert not heavy, heavy"
    done = run(sys.executable, "-c", code, cwd=Path(file).parent)
    assert done.returncode == 0, done.stderr
    assert "rouge1" in done.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"prediction": "a"}\n', "row 1 has no `reference` (it has `prediction`)"),
        ('{"prediction": "a", "reference": "b"}\n{"reference": "b"}\n', "row 2 has no `prediction`"),
        ('{"prediction": "a", "reference": ["b"]}\n', 'row 1: its `reference` is ["b"] rather than text'),
        ('{"prediction": "a", "reference": "b"}\n{"predic\n', "standard input, line 2 is no JSON"),
        ('["a", "b"]\n', "standard input, line 1 is no JSON object"),
        ("", "there are no predictions to score"),
        ('{"prediction": "a", "reference": " "}\n', "reference"),
        ('{"prediction": null, "reference": "b"}\n', "prediction"),
    ],
)
def test_rows_that_cannot_be_scored(text: str, says: str) -> None:
    done = score("-", stdin=text)
    assert done.exit_code != 0
    assert says in str(done.exception), done.exception


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--metrics", "rougue"], "did you mean `rouge`"),
        (["--metrics", "accuracy", "--tokenizer", "word"], "--tokenizer would be ignored: accuracy cut no text into tokens"),
        (["-o", "rouge.tokeniser=char"], "metric rouge: tokeniser: unknown key `tokeniser`, did you mean `tokenizer`?"),
        (["-o", "bleu.lowercase=true"], "the metric `bleu` isn't asked for"),
        (["-o", "tokenizer=char"], "is not of the form METRIC.OPTION=VALUE"),
    ],
)
def test_what_is_asked_for_wrongly(words: list[str], says: str, file: str) -> None:
    assert says in str(score(file, *words).exception)
