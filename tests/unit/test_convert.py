"""A model's folder is put together of what the config names, and of nothing else."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from polar_tools import config as configs
from polar_tools.errors import ConfigError, UserError
from tests import learning

PARTS = """\
models:
  whole:
    source: file://assets/nested
    model_subfolder: decoder
    config_name: file://assets/config
    tokenizer_name: other
  other: {source: file://assets/bert}
"""


@pytest.fixture
def nested(assets: Path, tmp_path: Path) -> Path:
    """A model in a subfolder, without config and with a tokenizer that is not wanted."""
    shutil.copytree(assets / "assets/llama", tmp_path / "assets/nested/decoder")
    shutil.copytree(assets / "assets/bert", tmp_path / "assets/bert")
    (tmp_path / "assets/config").mkdir()
    config = json.loads((tmp_path / "assets/nested/decoder/config.json").read_bytes())
    (tmp_path / "assets/config/config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.125}))
    (tmp_path / "assets/nested/decoder/config.json").unlink()
    (tmp_path / "assets/nested/decoder/vocab.txt").write_text("stale")
    settings = json.loads((tmp_path / "assets/bert/tokenizer_config.json").read_bytes())
    (tmp_path / "assets/bert/tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 77}))
    return tmp_path


def test_subfolder_config_and_tokenizer_come_together(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learning.run_plan(nested, PARTS, monkeypatch)
    made = nested / "results/models/whole/model"
    model = AutoModelForCausalLM.from_pretrained(made, local_files_only=True)
    assert (model.config.model_type, model.config.rms_norm_eps) == ("llama", 0.125)
    assert AutoTokenizer.from_pretrained(made, local_files_only=True).model_max_length == 77
    assert not (made / "vocab.txt").exists()
    record = json.loads((nested / "results/models/whole/record.json").read_bytes())
    assert sorted(record["inputs"]) == ["resources/models/other", "resources/models/whole", "resources/models/whole.config_name"]
    assert (nested / "resources/models/whole/snapshot/decoder/vocab.txt").is_file(), "what was mirrored stays as it is"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "model_subfolder: decoder",
            "model_subfolder: encoder",
            "there is no encoder in resources/models/whole/snapshot, which has decoder",
        ),
        ("config_name: file://assets/config", "config_name: file://assets/nested", "config_name: .* has none of config.json"),
    ],
)
def test_what_is_not_there_is_named(old: str, new: str, says: str, nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=says):
        learning.run_plan(nested, PARTS.replace(old, new), monkeypatch)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"source": "hf://a/b", "tokenizer_name": "mm"}, "`mm` is neither a URI .* nor in `models`, did you mean `m`"),
        ({"source": "hf://a/b", "tokenizer_name": "m"}, "`m` starts from itself"),
        ({"source": "file://a", "revision": "main"}, "`revision` goes with an hf:// source"),
        ({"source": "hf://a/b@v1", "revision": "main"}, "`revision` goes with an hf:// source that names none itself"),
    ],
)
def test_parts_that_lead_nowhere(model: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        configs.parse({"models": {"m": model}})


def test_revision_is_that_of_the_source() -> None:
    assert configs.parse({"models": {"m": {"source": "hf://a/b", "revision": "v1"}}}).models["m"].address() == "hf://a/b@v1"
