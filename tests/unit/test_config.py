"""What a person reads who got the config wrong: one message with the path of the mistake, and nothing written."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from polar_tools import cli, config
from polar_tools.errors import ConfigError
from polar_tools.plan import Plan
from tests.tiny import run

CONFIG = """\
project_name: tiny
models:
  llama: {source: file://assets/llama}
  bert: {source: file://assets/bert}
datasets:
  sayings:
    source: file://assets/rows.csv
    columns: {prompt: question, completion: answer}
    filters: [missing]
    split: {test_size: 12, seed: 0}
  kinds:
    source: sayings
    columns: {text: answer, label: kind}
    filters: [missing]
    split: {test_size: 12, stratify: label, seed: 0}
evaluations:
  sayings:
    dataset: sayings
    metrics: [rouge, loss]
    generation: {max_new_tokens: 4}
  kinds:
    dataset: kinds
experiments:
  say:
    method: sft
    model: llama
    dataset: sayings
    evaluations: [sayings]
    learning_rate: 1.0e-2
    use_peft: true
    lora_r: 2
    save_strategy: steps
    save_steps: 2
    threads: 1
  sort:
    method: cls
    model: bert
    dataset: kinds
    evaluations: [kinds]
    learning_rate: 1.0e-2
    threads: 1
run:
  notes: nothing here changes a result
"""
OTHER = "{method: sft, model: MODEL, dataset: sayings}"
EXPERIMENTS = "experiments:\n"
HASH = "0" * 64

UNKNOWN_KEYS = {
    "top level": ("project_name: tiny", "project_nam: tiny", "project_nam: unknown key `project_nam`, did you mean `project_name`?"),
    "model": (
        "llama: {source: ",
        "llama: {ggu_file: a, source: ",
        "models.llama.ggu_file: unknown key `ggu_file`, did you mean `gguf_file`?",
    ),
    "dataset": (
        "    columns: {prompt",
        "    colums: {prompt",
        "datasets.sayings.colums: unknown key `colums`, did you mean `columns`?",
    ),
    "split": (
        "{test_size: 12, s",
        "{test_sise: 12, s",
        "datasets.sayings.split.test_sise: unknown key `test_sise`, did you mean `test_size`?",
    ),
    "filter": (
        "filters: [missing]",
        "filters: [missing, {name: duplicates, column: [a]}]",
        "datasets.sayings.filters.1.column: unknown key `column`, did you mean `columns`?",
    ),
    "metric": (
        "[rouge, loss]",
        "[{name: rouge, use_stemer: true}]",
        "evaluations.sayings.metrics.0.use_stemer: unknown key `use_stemer`, did you mean `use_stemmer`?",
    ),
    "generation": (
        "{max_new_tokens: 4}",
        "{max_tokens: 4}",
        "evaluations.sayings.generation.max_tokens: unknown key `max_tokens`, did you mean `max_new_tokens`?",
    ),
    "experiment": (
        "learning_rate: 1.0e-2",
        "learning_rat: 1.0e-2",
        "experiments.say.learning_rat: unknown key `learning_rat`, did you mean `learning_rate`?",
    ),
    "run.resources": (
        "run:\n",
        "run:\n  resources: {trian: {mem_mb: 1, runtime: 1}}\n",
        "run.resources.trian: unknown key `trian`, did you mean `train`?",
    ),
    "resources of a stage": (
        "run:\n",
        "run:\n  resources: {train: {mem_mb: 1, runtim: 1}}\n",
        "run.resources.train.runtim: unknown key `runtim`, did you mean `runtime`?",
    ),
    "nothing near": (
        "{max_new_tokens: 4}",
        "{zzz: 4}",
        "evaluations.sayings.generation.zzz: unknown key `zzz`, known are: max_new_tokens, min_new_tokens, num_beams, do_sample",
    ),
}
WRONG_VALUES = {
    "text for a number": (
        "learning_rate: 1.0e-2",
        "learning_rate: fast",
        'experiments.say.learning_rate: must be a number, but it is "fast"',
    ),
    "nothing for a number": ("learning_rate: 1.0e-2", "learning_rate:", "experiments.say.learning_rate: must be a number, but it is null"),
    "no number": ("learning_rate: 1.0e-2", "learning_rate: .inf", "experiments.say.learning_rate: must be finite, but it is Infinity"),
    "too small": ("learning_rate: 1.0e-2", "learning_rate: -1", "experiments.say.learning_rate: must be greater than 0, but it is -1"),
    "too large": (
        "{max_new_tokens: 4}",
        "{do_sample: true, top_p: 2}",
        "evaluations.sayings.generation.top_p: must be at most 1, but it is 2",
    ),
    "part of a step": ("save_steps: 2", "save_steps: 2.5", "experiments.say.save_steps: must be a whole number, but it is 2.5"),
    "number for text": ("notes: nothing here changes a result", "notes: 3", "run.notes: must be text, but it is 3"),
    "word for a switch": ("use_peft: true", "use_peft: maybe", 'experiments.say.use_peft: must be true or false, but it is "maybe"'),
    "none of the words": (
        "save_strategy: steps",
        "save_strategy: never",
        "experiments.say.save_strategy: must be 'no', 'steps', 'epoch' or 'best', but it is \"never\"",
    ),
    "a word that YAML takes for a switch": (
        "save_strategy: steps",
        "save_strategy: no",
        "but it is false (YAML reads a bare yes, no, on or off as true or false: quote it)",
    ),
    "a word that YAML takes for a date": ("project_name: tiny", "project_name: 2026-01-01", "(YAML reads this as a date: quote it)"),
    "word for a list": ("filters: [missing]", "filters: missing", 'datasets.sayings.filters: must be a list, but it is "missing"'),
    "number in a list": ("filters: [missing]", "filters: [3]", "datasets.sayings.filters.0: must be a mapping, but it is 3"),
    "list for a mapping": ("{max_new_tokens: 4}", "[4]", "evaluations.sayings.generation: must be a mapping, but it is [4]"),
    "word for a section": ("llama: {source: file://assets/llama}", "llama: llama", 'models.llama: must be a mapping, but it is "llama"'),
    "share of all rows": (
        "{test_size: 12, s",
        "{test_size: 1.5, s",
        "split.test_size: must be a whole number or less than 1, but it is 1.5",
    ),
    "no rows": ("{test_size: 12, s", "{test_size: 0, s", "split.test_size: must be greater than 0, but it is 0"),
    "rows in words": ("{test_size: 12, s", "{test_size: many, s", 'split.test_size: must be a number, but it is "many"'),
    "either text or a list": (
        "lora_r: 2",
        "target_modules: 3",
        "experiments.say.target_modules: must be text or a list, but it is 3",
    ),
    "number in a list of text": (
        "lora_r: 2",
        "target_modules: [3]",
        "experiments.say.target_modules.0: must be text, but it is 3",
    ),
    "no seeds": ("lora_r: 2", "seeds: []", "experiments.say.seeds: must not be empty"),
    "left out": ("{test_size: 12, s", "{s", "datasets.sayings.split.test_size: is missing"),
    "a filter's option left out": ("filters: [missing]", "filters: [sample]", "datasets.sayings.filters.0.rows: is missing"),
    "no hash": ("llama: {source", "llama: {sha256: abc, source", "models.llama.sha256: must be 64 hexadecimal digits in lower case"),
    "a name with a space": (
        "  llama: {",
        "  my llama: {",
        "models.my llama: its name must be letters, digits, `_`, `.` and `-`, beginning with",
    ),
    "a name that is a number": ("  llama: {", "  1: {", "models.1: its name must be text, but it is 1"),
    "too long a name": ("  llama: {", f"  {'l' * 70}: {{", "its name must have at most 64 characters"),
    "adapter settings without an adapter": (
        "learning_rate: 1.0e-2\n    threads: 1\nrun",
        "learning_rate: 1.0e-2\n    lora_r: 4\n    threads: 1\nrun",
        "experiments.sort: lora_r would be ignored without `use_peft: true`",
    ),
    "what happens to long rows without a length": (
        "save_steps: 2",
        "save_steps: 2\n    on_too_long: drop",
        "experiments.say: on_too_long would be ignored without `max_length`",
    ),
    "steps of a strategy that has none": (
        "save_strategy: steps",
        "save_strategy: epoch",
        "experiments.say: save_steps would be ignored without `save_strategy: steps`",
    ),
    "a system prompt without a template": (
        "save_steps: 2",
        "save_steps: 2\n    system_prompt: hi\n    chat_template: none",
        "experiments.say: system_prompt would be ignored without a chat template",
    ),
    "a seed twice": ("save_steps: 2", "save_steps: 2\n    seeds: [1, 1]", "experiments.say: seeds: [1, 1] names a seed twice"),
    "a hash of somebody else's source": (
        "source: sayings",
        f"source: sayings\n    sha256: {'a' * 64}",
        "datasets.kinds.sha256: would be ignored; it belongs to `sayings`, whose files these are",
    ),
    "temperature without sampling": (
        "{max_new_tokens: 4}",
        "{temperature: 0.7}",
        "evaluations.sayings.generation: temperature would be ignored without `do_sample: true`",
    ),
    "both of two": (
        "filters: [missing]",
        "filters: [{name: values, column: a, keep: [b], drop: [c]}]",
        "datasets.sayings.filters.0: give either `keep` or `drop`",
    ),
}
UNKNOWN_NAMES = {
    "model": (
        "model: llama",
        "model: lama",
        "experiments.say.model: `lama` is not defined in `models` or `experiments`, did you mean `llama`?",
    ),
    "dataset": (
        "dataset: sayings\n    evaluations",
        "dataset: saings\n    evaluations",
        "experiments.say.dataset: `saings` is not defined in `datasets` or `mixtures`, did you mean `sayings`?",
    ),
    "evaluation": (
        "evaluations: [sayings]",
        "evaluations: [sayngs]",
        "experiments.say.evaluations.0: `sayngs` is not defined in `evaluations`, did you mean `sayings`?",
    ),
    "dataset of an evaluation": (
        "dataset: kinds\nexp",
        "dataset: zzz\nexp",
        "evaluations.kinds.dataset: `zzz` is not defined in `datasets` or `mixtures`",
    ),
    "dataset of a dataset": (
        "source: sayings",
        "source: saying",
        "datasets.kinds.source: `saying` is neither a URI (such as file://rows.csv) nor a name in `datasets`, did you mean `sayings`?",
    ),
    "model of a model": (
        "source: file://assets/llama",
        "source: bert",
        "models.llama.source: `bert` is no URI (such as file://folder or hf://org/name)",
    ),
    "method": ("method: sft", "method: stf", "experiments.say.method: there is no `stf` in methods, did you mean `sft`?"),
    "no method": ("    method: sft\n", "", "experiments.say: `method` is missing; known are: causal_lm, classification"),
    "filter": ("[missing]", "[mising]", "datasets.sayings.filters.0: there is no `mising` in filters, did you mean `missing`?"),
    "filter with options": ("[missing]", "[{name: mising}]", "datasets.sayings.filters.0.name: there is no `mising` in filters"),
    "metric": (
        "[rouge, loss]",
        "[fluency, loss]",
        "evaluations.sayings.metrics.0: there is no `fluency` in metrics; known are: accuracy, binary",
    ),
    "scheme": (
        "file://assets/llama",
        "ftp://assets/llama",
        "models.llama: `ftp://assets/llama`: a source begins with one of file://, hf://",
    ),
    "local file": ("file://assets/rows.csv", "file://assets/row.csv", "there is no file assets/row.csv (looked for in "),
    "release without a hash": ("file://assets/llama", "pypi://a==1", "models.llama: `pypi://a==1` needs a `sha256:` beside it"),
    "release without a version": (
        "{source: file://assets/llama}",
        f"{{source: pypi://a, sha256: '{HASH}'}}",
        "models.llama: `pypi://a` is not of the form pypi://NAME==VERSION/path/in/archive",
    ),
}
CLASHES = {
    "its own model": ("model: llama", "model: say", "experiments.say.model: `say` starts from itself: say -> say"),
    "a circle": (
        f"{EXPERIMENTS}  say:\n    method: sft\n    model: llama",
        f"{EXPERIMENTS}  more: {OTHER.replace('MODEL', 'say')}\n  say:\n    method: sft\n    model: more",
        "experiments.more.model: `more` starts from itself: more -> say -> more",
    ),
    "its own data": ("source: sayings", "source: kinds", "datasets.kinds.source: `kinds` starts from itself: kinds -> kinds"),
    "seeds that the model has not": (
        EXPERIMENTS,
        f"{EXPERIMENTS}  more: {OTHER.replace('MODEL', 'say').replace('}', ', seeds: [0, 1]}')}\n",
        "experiments.more.seeds: 1 is not a seed of `say`, from which it starts (it has [0])",
    ),
    "a model's name": (
        EXPERIMENTS,
        f"{EXPERIMENTS}  bert: {OTHER.replace('MODEL', 'llama')}\n",
        "experiments.bert: a model has this name too; `model: bert` would be ambiguous",
    ),
    **{
        f"the folder {name}": (
            EXPERIMENTS,
            f"{EXPERIMENTS}  {name}: {OTHER.replace('MODEL', 'llama')}\n",
            f"experiments.{name}: the folder results/{name} is taken; choose another name",
        )
        for name in ("report", "models", "datasets")
    },
}
BROKEN_FILES = {
    "a key twice": (
        "project_name: a\nmodels:\n  m: {source: file://a}\n  m: {source: file://b}\n",
        "config.yaml:4: key `m` stands twice, first in line 3",
    ),
    "a key twice on one line": ("run: {notes: a, notes: b}\n", "config.yaml:1: key `notes` stands twice, first in line 1"),
    "a key twice in a list": ("a:\n- b: 1\n  b: 2\n", "config.yaml:3: key `b` stands twice, first in line 2"),
    "open bracket": ("models: {a: [1\nruns: 2\n", "config.yaml:2:"),
    "a tab": ("models:\n\ta: 1\n", "config.yaml:2:1: not valid YAML: "),
    "two documents": ("a: 1\n---\nb: 1\n", "config.yaml:2:1: not valid YAML: "),
    "code": ("a: !!python/name:os.system\n", "config.yaml:1:4: not valid YAML: "),
    "a list as a key": ("[a]: 1\n", "config.yaml:1:1: not valid YAML: "),
    "no text": (b"\xff\xfe\x00\x01", "config.yaml: not valid YAML: "),
    "nothing": ("", "config.yaml: must be a mapping of sections: project_name, report_language, models"),
    "a list": ("- a\n- b\n", "config.yaml: must be a mapping of sections: project_name, report_language, models"),
    "a word": ("hello", "config.yaml: must be a mapping of sections: project_name, report_language, models"),
    "nothing to make": ("project_name: a\n", "config.yaml: there is nothing to make: name `models`, `datasets` or `experiments`"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with all that the tiny config reads."""
    for name in ("llama/config.json", "bert/config.json", "rows.csv"):
        (tmp_path / "assets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "assets" / name).write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(content: str | bytes) -> str:
    """What `polar-tools check` says of this file, which it must refuse without writing anything."""
    Path("config.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(Path().rglob("*"))
    done = CliRunner().invoke(cli.group, ["check", "config.yaml"])
    assert isinstance(done.exception, ConfigError), done.output
    message, status = cli.explain(done.exception)
    assert (status, done.output, sorted(Path().rglob("*"))) == (2, "", before)
    return message


CASES = {
    f"{group}: {name}": case
    for group, table in {
        "unknown key": UNKNOWN_KEYS,
        "wrong value": WRONG_VALUES,
        "unknown name": UNKNOWN_NAMES,
        "clash": CLASHES,
    }.items()
    for name, case in table.items()
}


@pytest.mark.parametrize(("right", "wrong", "message"), CASES.values(), ids=CASES)
def test_mistake_is_named_with_its_path(folder: Path, right: str, wrong: str, message: str) -> None:
    assert right in CONFIG
    said = check(CONFIG.replace(right, wrong, 1))
    assert message in said
    assert "Input should" not in said
    assert "Value error" not in said


@pytest.mark.parametrize(("content", "message"), BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_file_that_is_no_config(folder: Path, content: str | bytes, message: str) -> None:
    assert check(content).startswith(message)


def test_right_config_is_accepted(folder: Path) -> None:
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")
    done = CliRunner().invoke(cli.group, ["check", "config.yaml"])
    assert done.exit_code == 0
    assert "config.yaml is valid" in done.output


def test_all_mistakes_are_named_at_once(folder: Path) -> None:
    said = check(CONFIG.replace("threads: 1", "threads: 0").replace("test_size: 12, seed", "test_size: x, seed"))
    assert said.count("threads: must be greater than 0") == 2
    assert "datasets.sayings.split.test_size" in said
    assert all(line.startswith("config.yaml: ") for line in said.splitlines())


def test_circle_is_named_once(folder: Path) -> None:
    right, wrong, _ = CLASHES["a circle"]
    assert check(CONFIG.replace(right, wrong, 1)).count("starts from itself") == 1


@pytest.mark.parametrize("name", ["nowhere.yaml", "assets"])
def test_missing_file_ends_with_one_line_and_status_2(folder: Path, name: str) -> None:
    done = run("polar-tools", "check", name, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: there is no config file {name}\n")


def test_mistake_ends_with_one_line_and_status_2(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG.replace("learning_rate", "learning_rat", 1), encoding="utf-8")
    done = run("polar-tools", "check", "config.yaml", cwd=folder)
    line = "error: config.yaml: experiments.say.learning_rat: unknown key `learning_rat`, did you mean `learning_rate`?\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_debug_shows_the_traceback(folder: Path) -> None:
    (folder / "config.yaml").write_text("project_name: a\n", encoding="utf-8")
    done = run("polar-tools", "--debug", "check", "config.yaml", cwd=folder)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "ConfigError: config.yaml: there is nothing to make" in done.stderr


def test_merged_keys_may_be_overridden(folder: Path) -> None:
    text = CONFIG.replace("  say:\n", "  say: &say\n").replace("  sort:\n", "  slow:\n    <<: *say\n    learning_rate: 1.0e-3\n  sort:\n")
    Path("config.yaml").write_text(text, encoding="utf-8")
    made = config.load(Path("config.yaml")).experiments
    assert (made["slow"].learning_rate, made["slow"].lora_r, made["say"].learning_rate) == (1e-3, 2, 1e-2)


def test_aliases_and_short_forms_mean_the_same(folder: Path) -> None:
    long = CONFIG.replace("method: cls", "method: classification").replace("[missing]", "[{name: missing}]").replace("1.0e-2", "1e-2")
    Path("long.yaml").write_text(long, encoding="utf-8")
    Path("short.yaml").write_text(CONFIG, encoding="utf-8")
    plans = [Plan(config.load(Path(name))) for name in ("long.yaml", "short.yaml")]
    specs = [{path: made.frozen for path, made in plan.artifacts.items()} for plan in plans]
    assert specs[0] == specs[1]
