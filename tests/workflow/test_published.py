"""From a repository of the Hub to another by one command: Snakemake mirrors, trains, measures and publishes."""

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from tests import hub_server, published, tiny
from tests.tiny import ANIMALS


@pytest.mark.slow
def test_a_base_from_the_hub_is_named_with_its_commit_and_asked_for_its_licence(fresh: Path) -> None:
    with hub_server.running() as hub:
        base = published.files(fresh / "assets/llama")
        commit = hub.commit("org/llama", {**base, "README.md": b"---\nlicense: apache-2.0\n---\n# A base\n"})
        rows = {"README.md": b"---\nlicense: mit\n---\n", "rows.csv": (fresh / "assets/rows.csv").read_bytes()}
        of_rows = hub.commit("org/sayings", rows, kind="datasets")
        told = yaml.safe_load(tiny.CONFIG)
        told["models"] = {"llama": {"source": "hf://org/llama"}}
        told["datasets"] = {"sayings": told["datasets"]["sayings"] | {"source": "hf://datasets/org/sayings", "train_data": "rows.csv"}}
        told["evaluations"].pop("kinds")
        told["experiments"].pop("sort")
        told["publish"] = {"saying": {"experiment": "say", "push_to_hub": True}}
        (fresh / "config/config.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
        done = tiny.run("snakemake", "--quiet", cwd=fresh, **hub.environment("hf_alice"))
        assert done.returncode == 0, done.stderr
        sent = hub.files("alice/tiny-saying")
        again = tiny.run("snakemake", "-n", cwd=fresh, **hub.environment("hf_alice"))
        assert "Nothing to be done" in again.stdout + again.stderr
    adapter = json.loads(sent["adapter_config.json"])
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == ("org/llama", commit)
    claim = json.loads(sent["polar/claim.json"])
    assert claim["files"]["adapter_config.json"] is None and claim["files"]["tokenizer.json"] == "model/tokenizer.json"
    text = sent["README.md"].decode()
    card = ModelCard(text).data
    assert (card.base_model, card.datasets, card.license) == ("org/llama", ["org/sayings"], "apache-2.0")
    assert f'from_pretrained("org/llama", revision="{commit}")' in text and of_rows in text and "alice/tiny-saying" in text
    assert json.loads((fresh / "results/say/seed0/train/model/adapter_config.json").read_bytes())["base_model_name_or_path"] != "org/llama"
    assert not any(animal in text for animal in ANIMALS.values()), "a card shows no rows"
