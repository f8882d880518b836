"""sentence_transformer and cross_encoder: losses and their options, what is saved, what is refused."""

import sys
from pathlib import Path
from typing import Any

import pytest

from polar_tools import discovery, measuring, modeling
from polar_tools.cli import explain
from polar_tools.config import Config as Whole
from polar_tools.errors import ConfigError, DataError
from polar_tools.losses import base as losses
from polar_tools.methods import cross_encoder, sentence_transformer
from polar_tools.methods.base import RowError
from polar_tools.metrics import sentence_pairs

WORDS = ("cat", "dog", "fish", "cow", "horse", "bird", "sun", "moon")
TEXTS = [f"the {one} and the {other}" for one in WORDS for other in WORDS[:4]]
ROWS: dict[str, list[Any]] = {
    "anchor": TEXTS[:16],
    "positive": TEXTS[:16],
    "negative": TEXTS[16:],
    "sentence1": TEXTS[:16],
    "sentence2": TEXTS[16:],
    "score": [place / 15 for place in range(16)],
    "label": [place % 2 for place in range(16)],
}
PAIRS, TRIPLETS, SCORES, LABELS = (
    ("anchor", "positive"),
    ("anchor", "positive", "negative"),
    ("sentence1", "sentence2", "score"),
    ("sentence1", "sentence2", "label"),
)
LOSSES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "multiple_negatives_ranking": ({"scale": 7.0}, TRIPLETS),
    "cached_multiple_negatives_ranking": ({"scale": 7.0, "mini_batch_size": 3}, PAIRS),
    "gist_embed": ({"temperature": 0.3, "margin_strategy": "relative", "margin": 1e-4, "contrast_anchors": False}, PAIRS),
    "cached_gist_embed": ({"temperature": 0.3, "margin": 1e-4, "contrast_positives": False, "mini_batch_size": 3}, TRIPLETS),
    "triplet": ({"triplet_margin": 0.7}, TRIPLETS),
    "cosine_similarity": ({}, SCORES),
    "cosent": ({"scale": 7.0}, SCORES),
    "angle": ({"scale": 7.0}, SCORES),
    "contrastive": ({"margin": 0.7}, LABELS),
    "online_contrastive": ({"margin": 0.7}, LABELS),
    "softmax": ({"concatenation_sent_multiplication": True}, LABELS),
}
"""Loss -> options other than the defaults, and columns."""


def rows(*columns: str) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({name: ROWS[name] for name in columns})


def settings(assets: Path, method: Any = sentence_transformer, **fields: Any) -> Any:
    given = {"model": str(assets / "assets/bert"), "dataset": "d", "max_steps": 2, "per_device_train_batch_size": 8, "threads": 1}
    return method.Config.model_validate({**given, "save_strategy": "no", **fields})


def loaded(config: Any, method: Any = sentence_transformer, path: str = "", features: Any = None) -> tuple[Any, Any]:
    """The wrapped model, to be trained unless it is in `path`, and the tokenizer."""
    modeling.seed_everything(0, 1)
    tokenizer = method.set_up(config, modeling.load_processor(config.model, method, config))
    return modeling.load_model(path or config.model, method, config, features or {}, adapter=not path), tokenizer


def trainer(config: Any, train: Any, folder: Path, method: Any = sentence_transformer, evaluation: Any = None, **run: Any) -> Any:
    model, tokenizer = loaded(config, method, features=method.features(config, train))
    fixed = {"output_dir": str(folder), "seed": 0, "use_cpu": True, "report_to": "none", "disable_tqdm": True}
    return method.build_trainer(config, model, tokenizer, train, evaluation, [], **{**fixed, **run})


def merged(config: Any, model: Any, folder: Path) -> Any:
    return modeling.merged(model, discovery.load("methods", config.method), config, {}, [[3, 4, 5]], folder / "aside")[0]


def embedded(model: Any) -> Any:
    return model.eval().encode(TEXTS[:4])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_trains_with_its_options(name: str, assets: Path, tmp_path: Path) -> None:
    options, columns = LOSSES[name]
    guide = {"guide_model": str(assets / "assets/bert")} if "gist" in name else {}
    config = settings(assets, loss={"name": name, **options, **guide})
    built = trainer(config, rows(*columns), tmp_path)
    assert {key: getattr(built.loss, key) for key in options} == options
    assert losses.told_by(built.loss) == config.loss
    before = {key: weight.clone() for key, weight in built.model.named_parameters()}
    assert built.train().training_loss > 0
    assert any((weight != before[key]).any() for key, weight in built.model.named_parameters())


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_the_distance_of_triplets(metric: str, assets: Path, tmp_path: Path) -> None:
    config = settings(assets, loss={"name": "triplet", "distance_metric": metric})
    assert losses.told_by(trainer(config, rows(*TRIPLETS), tmp_path).loss) == config.loss


def test_there_is_a_test_for_every_loss() -> None:
    assert set(LOSSES) == set(discovery.names("losses"))


@pytest.mark.parametrize(
    ("columns", "loss", "sampler"),
    [
        (PAIRS, "MultipleNegativesRankingLoss", "no_duplicates"),
        (SCORES, "CoSENTLoss", "batch_sampler"),
        (LABELS, "ContrastiveLoss", "batch_sampler"),
    ],
)
def test_the_columns_choose_a_loss(columns: tuple[str, ...], loss: str, sampler: str, assets: Path, tmp_path: Path) -> None:
    built = trainer(settings(assets), rows(*columns), tmp_path)
    assert (type(built.loss).__name__, built.args.batch_sampler.value) == (loss, sampler)


def test_classes_have_softmax(assets: Path, tmp_path: Path) -> None:
    named = rows(*LABELS).remove_columns("label").add_column("label", [("no", "maybe", "yes")[place % 3] for place in range(16)])
    built = trainer(settings(assets), named, tmp_path)
    assert (type(built.loss).__name__, built.loss.num_labels) == ("SoftmaxLoss", 3)


def test_matryoshka_wraps_any_loss(assets: Path, tmp_path: Path) -> None:
    built = trainer(settings(assets, matryoshka_dims=[32, 8], loss="cached_mnrl"), rows(*PAIRS), tmp_path)
    assert (type(built.loss).__name__, tuple(built.loss.matryoshka_dims)) == ("MatryoshkaLoss", (32, 8))
    built.train()
    with pytest.raises(ConfigError, match="64 is more than the 32 dimensions"):
        trainer(settings(assets, matryoshka_dims=[64]), rows(*PAIRS), tmp_path)


@pytest.mark.parametrize("adapter", [{}, {"use_peft": True}, {"use_peft": True, "merge_adapter": True}])
def test_what_is_saved_is_what_sentence_transformers_loads(adapter: dict[str, bool], assets: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    config = settings(
        assets, dense_out_features=8, pooling_mode="cls", normalize_embeddings=True, max_length=6, on_too_long="cut_right", **adapter
    )
    built = trainer(config, rows(*PAIRS), tmp_path / "run")
    built.train()
    expected = embedded(built.model)
    model = merged(config, built.model, tmp_path) if config.merge_adapter else built.model
    modeling.save_model(model, tmp_path / "model")
    plain = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    again, _ = loaded(config, path=str(tmp_path / "model"))
    unasked, _ = loaded(settings(assets), path=str(tmp_path / "model"))
    assert plain.max_seq_length == 6
    assert plain.tokenizer("the cat " * 9)["input_ids"] != plain.preprocess(["the cat " * 9])["input_ids"].tolist()[0]
    for model in (plain, again, unasked):
        assert model[1].pooling_mode == "cls"
        assert abs(embedded(model) - expected).max() < 1e-5
    assert (tmp_path / "model/adapter_config.json").is_file() == (adapter == {"use_peft": True})


@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize("loss", ["softmax", "contrastive"])
def test_a_training_that_was_stopped_goes_on_the_same(adapter: bool, loss: str, assets: Path, tmp_path: Path) -> None:
    fields = {
        "loss": loss,
        "dense_out_features": 8,
        "max_steps": 4,
        "use_peft": adapter,
        "save_strategy": "steps",
        "save_steps": 2,
        "learning_rate": 1e-2,
    }
    config = settings(assets, **fields)
    whole = trainer(config, rows(*LABELS), tmp_path / "whole", save_total_limit=None)
    whole.train()
    again = trainer(config, rows(*LABELS), tmp_path / "again", save_total_limit=None)
    again.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-2"))
    assert abs(embedded(again.model) - embedded(whole.model)).max() == 0


@pytest.mark.parametrize("columns", [TRIPLETS, SCORES, LABELS])
def test_what_is_measured_while_training(columns: tuple[str, ...], assets: Path, tmp_path: Path) -> None:
    figure = {TRIPLETS: "eval_held_out_cosine_accuracy", SCORES: "eval_held_out_spearman_cosine", LABELS: "eval_held_out_cosine_ap"}[
        columns
    ]
    watched = {"eval_strategy": "steps", "eval_steps": 1}
    built = trainer(settings(assets), rows(*columns), tmp_path, evaluation={"held_out": rows(*columns)}, **watched)
    built.train()
    assert {figure, "eval_held_out_loss"} <= {name for entry in built.state.log_history for name in entry}
    assert {figure, "eval_held_out_loss"} <= set(built.evaluate())
    other = trainer(settings(assets), rows(*PAIRS), tmp_path, evaluation={"held_out": rows(*columns)})
    assert figure in other.evaluate()
    quiet = trainer(
        settings(assets, evaluator="off", eval_datasets={"held_out": "d"}),
        rows(*columns),
        tmp_path,
        evaluation={"held_out": rows(*columns)},
    )
    assert figure not in quiet.evaluate()


def test_prompts_stand_before_what_is_seen_in_training_and_evaluation(assets: Path, tmp_path: Path) -> None:
    config = settings(assets, query_prompt="ask: ", document_prompt="doc: ")
    built = trainer(config, rows(*TRIPLETS), tmp_path)
    batch = next(iter(built.get_train_dataloader()))
    tokenizer = built.processing_class
    texts = {name: tokenizer.batch_decode(batch[f"{name}_input_ids"], skip_special_tokens=True) for name in TRIPLETS}
    assert all(text.startswith("ask: the") for text in texts["anchor"])
    assert all(text.startswith("doc: ") for text in texts["positive"] + texts["negative"])
    example = sentence_transformer.render(config, tokenizer, {}, rows(*TRIPLETS).to_list())[0]
    assert tokenizer.decode(example["anchor_input_ids"]) == f"ask: {TEXTS[0]}"
    assert built.model.prompts == {"query": "ask: ", "document": "doc: "}
    with pytest.raises(ConfigError, match="would be ignored"):
        sentence_transformer.render(config, tokenizer, {}, rows(*SCORES).to_list())


def test_evaluators_and_predictions_see_the_same(assets: Path, tmp_path: Path) -> None:
    config = settings(assets, query_prompt="ask: ", document_prompt="doc: ")
    held_out = rows(*TRIPLETS).map(lambda row: {"anchor": f"{row['negative']} {row['anchor']}"})
    built = trainer(config, rows(*TRIPLETS), tmp_path, evaluation={"held_out": held_out})
    watched = built.evaluate()
    predictions = sentence_transformer.predict(config, built.model, built.processing_class, {}, held_out.to_list(), {})
    measured = measuring.figures(predictions, sentence_pairs.Options())
    for name, figure in {"cosine_mrr@10": "mrr_at_10", "cosine_ndcg@10": "ndcg_at_10", "cosine_accuracy": "triplet_accuracy"}.items():
        assert watched[f"eval_held_out_{name}"] == pytest.approx(measured[figure])


def test_a_loss_without_its_columns_says_which_fit(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="loss `triplet` needs `anchor` \\+ `positive` \\+ `negative`; .*`angle`, `cosent`, `cosine_similarity`"
    ):
        trainer(settings(assets, loss="triplet"), rows(*SCORES), tmp_path)
    with pytest.raises(DataError, match="has the score 3.0, and loss `cosine_similarity`.*cosent"):
        losses.prepared("cosine_similarity", rows(*SCORES).map(lambda row: {"score": 3.0}))
    with pytest.raises(DataError, match="has the label 2, and loss `contrastive` needs 0 or 1; `softmax`"):
        losses.prepared("contrastive", rows(*LABELS).map(lambda row: {"label": 2}))


def test_a_guide_that_would_read_other_text_is_refused(assets: Path, tmp_path: Path) -> None:
    guide = _guide_in_lower_case(assets / "assets/bert", tmp_path / "guide")
    fields = {"loss": {"name": "gist", "guide_model": guide}}
    trainer(settings(assets, **fields), rows(*PAIRS), tmp_path / "same text")
    forgetful = {**fields, "model": guide, "loss": {"name": "gist", "guide_model": str(assets / "assets/bert")}}
    with pytest.raises(ConfigError, match="another tokenizer.*'the cat and the cat' becomes"):
        trainer(settings(assets, **forgetful), rows(*PAIRS), tmp_path / "other text")


def _guide_in_lower_case(model: Path, folder: Path) -> str:
    """The model with a tokenizer that knows whole words only, and few."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModel, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "the": 2, "and": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(folder)
    AutoModel.from_pretrained(model).save_pretrained(folder)
    return str(folder)


def test_a_guide_is_an_input_of_the_training_only(assets: Path) -> None:
    from polar_tools.plan import Plan

    source = {"source": f"file://{assets}/assets/bert"}
    experiment = {"method": "st", "model": "bert", "dataset": "d", "loss": {"name": "gist", "guide_model": "guide"}}
    plan = Plan(
        Whole.model_validate(
            {
                "models": {"bert": source, "guide": source},
                "datasets": {"d": {"source": f"file://{assets}/assets/rows.csv", "columns": {"anchor": "question", "positive": "answer"}}},
                "experiments": {"e": experiment},
            }
        )
    )
    assert "resources/models/guide" in plan.artifacts["results/e/seed0/train"].spec.inputs()
    assert "resources/models/guide" not in plan.artifacts["results/e/tokenize"].spec.inputs()


def test_a_text_longer_than_the_model_reads_is_no_surprise(assets: Path) -> None:
    config = settings(assets, max_length=4, on_too_long="cut_right")
    _, tokenizer = loaded(config)
    row = {"anchor": TEXTS[0], "positive": TEXTS[1]}
    whole = sentence_transformer.render(config, tokenizer, {}, [row])[0]
    assert [len(ids) for ids in sentence_transformer.fit(config, whole).values()] == [4, 4]
    with pytest.raises(DataError, match="`anchor` has .* tokens, and the model reads 4"):
        sentence_transformer.check(config, tokenizer, row, whole)


@pytest.mark.parametrize("method", [sentence_transformer, cross_encoder])
def test_where_texts_are_cut_is_saved(method: Any, assets: Path, tmp_path: Path) -> None:
    side = {"on_too_long": "cut_left"} if method is sentence_transformer else {}
    config = settings(assets, method, max_length=7, **side)
    _, tokenizer = loaded(config, method)
    tokenizer.save_pretrained(tmp_path)
    again = modeling.load_processor(str(tmp_path), method, config)
    assert (again.model_max_length, again.truncation_side) == (7, "left" if side else "right")
    with pytest.raises(ValueError, match="tokenizer_max_len would be ignored"):
        settings(assets, method, tokenizer_max_len=7)


def test_similar_texts_that_all_look_alike_are_found_last() -> None:
    predictions = sentence_transformer._place(
        {"anchor": "a", "positive": "b"}, ["b", "c", "d"], {"b": 0, "c": 1, "d": 2}, [0.5, 0.5, 0.5], {0}
    )
    assert predictions.figures["rank"] == 3


@pytest.mark.parametrize("adapter", [{}, {"use_peft": True}, {"use_peft": True, "merge_adapter": True}])
@pytest.mark.parametrize("columns", [SCORES, LABELS])
def test_a_saved_cross_encoder_is_what_sentence_transformers_loads(
    columns: tuple[str, ...], adapter: dict[str, bool], assets: Path, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    config = settings(assets, cross_encoder, max_length=12, on_too_long="cut_right", **adapter)
    built = trainer(config, rows(*columns), tmp_path / "run", cross_encoder, {"held_out": rows(*columns)})
    built.train()
    assert "eval_held_out_loss" in built.evaluate()
    features = cross_encoder.features(config, rows(*columns))
    expected = cross_encoder.predict(config, built.model, built.processing_class, features, rows(*columns).to_list(), {})
    model = merged(config, built.model, tmp_path) if config.merge_adapter else built.model
    modeling.save_model(model, tmp_path / "model")
    pairs = list(zip(ROWS["sentence1"], ROWS["sentence2"], strict=True))
    plain = CrossEncoder(str(tmp_path / "model"), device="cpu", local_files_only=True)
    assert plain.predict(pairs).tolist() == pytest.approx([row.figures["similarity"] for row in expected], abs=1e-5)
    again, tokenizer = loaded(config, cross_encoder, str(tmp_path / "model"), features)
    assert cross_encoder.predict(config, again, tokenizer, features, rows(*columns).to_list(), {})[3].loss == pytest.approx(
        expected[3].loss
    )


def test_a_cross_encoder_of_classes(assets: Path, tmp_path: Path) -> None:
    named = rows(*LABELS).remove_columns("label").add_column("label", [("no", "maybe", "yes")[place % 3] for place in range(16)])
    config = settings(assets, cross_encoder)
    built = trainer(config, named, tmp_path, cross_encoder)
    built.train()
    features = cross_encoder.features(config, named)
    found = cross_encoder.predict(config, built.model, built.processing_class, features, named.to_list(), {})
    assert {row.prediction for row in found} <= {"no", "maybe", "yes"}
    assert all(row.loss > 0 for row in found)
    with pytest.raises(ConfigError, match="pos_weight would be ignored"):
        trainer(settings(assets, cross_encoder, pos_weight=2.0), named, tmp_path, cross_encoder)


def test_options_of_a_cross_encoder(assets: Path, tmp_path: Path) -> None:
    weighted = trainer(settings(assets, cross_encoder, pos_weight=3.0), rows(*LABELS), tmp_path, cross_encoder)
    assert weighted.loss.bce_with_logits_loss.pos_weight == 3
    squared = trainer(settings(assets, cross_encoder, loss="mse"), rows(*SCORES), tmp_path, cross_encoder)
    assert (type(squared.loss).__name__, type(squared.model.activation_fn).__name__) == ("MSELoss", "Identity")


@pytest.mark.parametrize(("first", "second"), [(0, 5), (5, 0), (5, 5), (9, 5)])
def test_a_cross_encoder_cuts_pairs_as_it_was_measured(first: int, second: int, assets: Path) -> None:
    from polar_tools.trainers.sentence_modules import use

    config = settings(assets, cross_encoder, max_length=21, on_too_long="cut_right")
    model, tokenizer = loaded(config, cross_encoder, features={"num_labels": 1})
    use(model, tokenizer)
    row = {"sentence1": TEXTS[0] * (1 + first), "sentence2": TEXTS[5] * (1 + second), "score": 0.5}
    example = cross_encoder.fit(config, cross_encoder.render(config, tokenizer, {"num_labels": 1}, [row])[0])
    assert example is not None and len(example["input_ids"]) == 21
    assert model.preprocess([(row["sentence1"], row["sentence2"])])["input_ids"].tolist() == [example["input_ids"]]


def test_a_score_must_be_one(assets: Path) -> None:
    config = settings(assets, cross_encoder)
    _, tokenizer = loaded(config, cross_encoder, features={"num_labels": 1})
    row = {"sentence1": "a", "sentence2": "b", "score": 4}
    with pytest.raises(RowError, match="its score is 4, and a score must lie between 0 and 1"):
        cross_encoder.render(config, tokenizer, {"num_labels": 1}, [row])


def test_without_sentence_transformers_a_person_reads_what_to_install(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "sentence_transformers" or "trainers.sentence_" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModuleNotFoundError) as raised:
        loaded(settings(assets))
    message, status = explain(raised.value)
    assert ("`sentence_transformers` is not installed" in message, "pip install 'polar-tools[run]'" in message, status) == (True, True, 2)


def test_memory_and_precision_options_reach_the_model(assets: Path, tmp_path: Path) -> None:
    built = trainer(settings(assets, activation_checkpointing=True, bf16=True), rows(*PAIRS), tmp_path)
    built.train()
    assert built.model[0].model.is_activation_checkpointing
