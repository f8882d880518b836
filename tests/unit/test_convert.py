"""A model's folder is put together of what the config names, and of nothing else."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

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


def test_two_models_become_an_encoder_and_a_decoder(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = "models: {pair: {source: file://assets/bert, decoder_name: pair}, other: {source: file://assets/bert, decoder_name: pair2}"
    learning.run_plan(nested, joined + ", pair2: {source: file://assets/bert}}", monkeypatch)
    made = [nested / f"results/models/{name}/model" for name in ("pair", "other")]
    assert (made[0] / "model.safetensors").read_bytes() == (made[1] / "model.safetensors").read_bytes(), "the same is drawn in each"
    model, alone = AutoModelForSeq2SeqLM.from_pretrained(made[0]), AutoModel.from_pretrained(nested / "assets/bert")
    half = model.decoder.bert.embeddings.word_embeddings.weight
    assert torch.equal(half, alone.embeddings.word_embeddings.weight)
    assert torch.equal(model.encoder.embeddings.word_embeddings.weight, half)
    assert model.config.decoder.add_cross_attention


def test_halves_of_different_vocabularies_are_not_joined(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = AutoTokenizer.from_pretrained(nested / "assets/bert")
    tokenizer.add_tokens(["another"])
    shutil.copytree(nested / "assets/bert", nested / "assets/more")
    tokenizer.save_pretrained(nested / "assets/more")
    joined = "models: {pair: {source: file://assets/bert, decoder_name: more}, more: {source: file://assets/more}}"
    with pytest.raises(UserError, match="decoder_name: .* has another vocabulary"):
        learning.run_plan(nested, joined, monkeypatch)


def test_words_become_tokens_of_a_model_that_keeps_all_it_knows(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (nested / "assets/bert/model.safetensors").read_bytes()
    told = "{source: file://assets/bert, added_tokens: ['#Person1#', 토큰]}"
    learning.run_plan(nested, f"models: {{one: {told}, other: {told}}}", monkeypatch)
    made, other = (nested / f"results/models/{name}/model" for name in ("one", "other"))
    tokenizer, alone = AutoTokenizer.from_pretrained(made), AutoTokenizer.from_pretrained(nested / "assets/bert")
    ids = tokenizer("#Person1#: a 토큰.", add_special_tokens=False)["input_ids"]
    assert sorted(ids)[-2:] == [len(alone), len(alone) + 1]
    assert "#Person1#" in tokenizer.decode(ids, skip_special_tokens=True)
    rows, known = (AutoModel.from_pretrained(folder).get_input_embeddings().weight for folder in (made, nested / "assets/bert"))
    assert len(rows) == len(tokenizer) and torch.equal(rows[: len(known)], known)
    assert (made / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes(), "the same is drawn in each"
    assert (nested / "resources/models/one/snapshot/model.safetensors").read_bytes() == before, "what was mirrored stays as it is"


def test_a_folder_that_is_no_model_gets_no_tokens(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "models: {one: {source: file://assets/config, added_tokens: ['#Person1#']}}"
    with pytest.raises(UserError, match="added_tokens: the model can't be given more tokens: "):
        learning.run_plan(nested, told, monkeypatch)


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
