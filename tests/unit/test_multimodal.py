"""Pictures and text: what is trained on, what a model is given, and what is refused."""

import io
import json
import random
import re
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from transformers import AutoModelForImageTextToText, AutoTokenizer, Gemma3Processor

from examples import make_vision_model
from polar_tools import modeling, pictures
from polar_tools.errors import ConfigError, DataError
from polar_tools.methods import base, causal_lm, dpo, kto, multimodal, orpo, reward, sft
from polar_tools.trainers.multimodal import Collator
from tests import learning
from tests.cases.multimodal import COLOURS, QUESTION, draw, make, make_tiny_model

SHARED = {"model": "m", "dataset": "d"}
SHOWN = "<start_of_image>" + "<image_soft_token>" * 4 + "<end_of_image>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model of the shape of Gemma 3."""
    made = tmp_path_factory.mktemp("models") / "gemma"
    make_tiny_model(made)
    return made


@pytest.fixture
def processor(folder: Path) -> Gemma3Processor:
    return multimodal.set_up(config(), modeling.load_processor(str(folder), multimodal, config()))


def config(**fields: Any) -> multimodal.Config:
    return multimodal.Config(**SHARED, **fields)


def stored(name: str = "red", **size: int) -> dict[str, Any]:
    """A picture as `datasets` stores it."""
    file = io.BytesIO()
    draw(name, random.Random(0)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"{name}.png"}


def dialogue(*said: tuple[str, Any], images: Any = None) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in said], "images": images}


PICTURE = dialogue(("user", QUESTION), ("assistant", "red"), ("user", "sure?"), ("assistant", "red!"), images=[stored()])
TEXT = dialogue(("user", "say blue"), ("assistant", "blue"), images=[])


def shown(processor: Gemma3Processor, example: base.Example) -> tuple[str, list[str]]:
    """The text of an example, and the runs of it that are trained on."""
    runs: list[list[int]] = [[]]
    for label in example["labels"]:
        if label != base.IGNORED:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return processor.decode(example["input_ids"]), [processor.decode(run) for run in runs if run]


def test_only_answers_are_trained_on(processor: Gemma3Processor) -> None:
    with_picture, text_alone = multimodal.render(config(), processor, {}, [PICTURE, TEXT])
    assert shown(processor, with_picture) == (
        f"<bos><start_of_turn>user\n\n\n{SHOWN}\n\n{QUESTION}<end_of_turn>\n<start_of_turn>model\nred<end_of_turn>\n"
        "<start_of_turn>user\nsure?<end_of_turn>\n<start_of_turn>model\nred!<end_of_turn>\n",
        ["red<end_of_turn>", "red!<end_of_turn>"],
    )
    assert shown(processor, text_alone)[1] == ["blue<end_of_turn>"]
    assert (with_picture["pictures"], text_alone["pictures"]) == ([4], [0])
    for row, example in ((PICTURE, with_picture), (TEXT, text_alone)):
        multimodal.check(config(), processor, row, example)


@pytest.mark.parametrize(
    "row",
    [
        {"image": stored(), "text": "red"},
        {"image": stored(), "prompt": "Describe the picture.", "completion": "red"},
        {"image": stored()["bytes"], "text": "red"},
        {"images": [stored()], "messages": [{"role": "user", "content": "Describe the picture."}, {"role": "assistant", "content": "red"}]},
        dialogue(
            ("user", [{"type": "image", "text": None}, {"type": "text", "text": "Describe the picture."}]),
            ("assistant", [{"type": "text", "text": "red"}]),
            images=[stored()],
        ),
    ],
)
def test_every_shape_becomes_the_same_tokens(row: dict[str, Any], processor: Gemma3Processor) -> None:
    [expected] = multimodal.render(config(), processor, {}, [{"image": stored(), "text": "red"}])
    [example] = multimodal.render(config(), processor, {}, [row])
    assert example == expected
    assert shown(processor, example)[1] == ["red<end_of_turn>"]


def test_pictures_stand_where_the_turns_say(processor: Gemma3Processor) -> None:
    said = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}, {"type": "image"}]
    row = dialogue(("user", "first"), ("assistant", "red"), ("user", said), ("assistant", "blue"), images=[stored(), stored("blue")])
    [example] = multimodal.render(config(system_prompt="Look."), processor, {}, [row])
    text, answers = shown(processor, example)
    assert text.startswith("<bos><start_of_turn>system\nLook.<end_of_turn>\n") and f"a\n\n{SHOWN}\n\nb\n\n{SHOWN}" in text
    assert answers == ["red<end_of_turn>", "blue<end_of_turn>"]


def test_a_batch_holds_what_was_measured(processor: Gemma3Processor) -> None:
    rows = [TEXT, PICTURE, dialogue(("user", "say red"), ("assistant", "red"))]
    measured = multimodal.render(config(), processor, {}, rows)
    batch = Collator(partial(multimodal._encode, config(), processor), None)(rows)
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids", "pixel_values", "labels"}
    assert batch["pixel_values"].shape == (1, 3, 16, 16)
    for place, example in enumerate(measured):
        size = len(example["input_ids"])
        assert batch["input_ids"][place, :size].tolist() == example["input_ids"]
        assert batch["labels"][place].tolist() == [*example["labels"], *[-100] * (batch["labels"].shape[1] - size)]
        assert batch["attention_mask"][place].tolist() == [1] * size + [0] * (batch["labels"].shape[1] - size)
        pictured = [int(number == processor.tokenizer.image_token_id) for number in example["input_ids"]]
        assert batch["token_type_ids"][place, :size].tolist() == pictured
    alone = Collator(partial(multimodal._encode, config(), processor), None)([TEXT])
    assert "pixel_values" not in alone


def test_what_is_cut_is_cut_in_the_batch_too(processor: Gemma3Processor) -> None:
    [example] = multimodal.render(config(), processor, {}, [PICTURE])
    limited = config(max_length=len(example["input_ids"]) - 5, on_too_long="cut_right")
    fitted = multimodal.fit(limited, example)
    multimodal.check(limited, processor, PICTURE, fitted)
    batch = Collator(partial(multimodal._encode, limited, processor), limited.max_length)([PICTURE])
    assert [batch[name][0].tolist() for name in ("input_ids", "labels")] == [fitted["input_ids"], fitted["labels"]]
    limited = config(max_length=8, on_too_long="cut_right")
    with pytest.raises(DataError, match="max_length would cut tokens of its pictures off; raise it, or choose `on_too_long: drop`"):
        multimodal.check(limited, processor, PICTURE, multimodal.fit(limited, example))


def test_training_sees_the_ids_that_predict_sends(folder: Path, processor: Gemma3Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    sent: list[dict[str, torch.Tensor]] = []
    generate = model.generate
    monkeypatch.setattr(model, "generate", lambda **inputs: sent.append(inputs) or generate(**inputs))
    rows = [PICTURE, TEXT]
    predictions = multimodal.predict(config(), model, processor, {}, rows, {"max_new_tokens": 2, "do_sample": False})
    for place, example in enumerate(multimodal.render(config(), processor, {}, rows)):
        [start] = [place for place in range(len(example["labels"])) if example["labels"][place] != -100 == example["labels"][place - 1]][
            -1:
        ]
        mask = sent[0]["attention_mask"][place].bool()
        assert sent[0]["input_ids"][place][mask].tolist() == example["input_ids"][:start]
    assert [(row.input, row.reference) for row in predictions] == [("sure?", "red!"), ("say blue", "blue")]
    assert sent[0]["pixel_values"].shape[0] == 1


def test_loss_is_the_models_own(folder: Path, processor: Gemma3Processor) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    rows = [PICTURE, TEXT]
    predictions = multimodal.predict(config(), model, processor, {}, rows, {"max_new_tokens": 1})
    batch = Collator(partial(multimodal._encode, config(), processor), None)(rows)
    with torch.inference_mode():
        loss = float(model(**batch).loss)
    assert sum(row.loss for row in predictions) / sum(row.tokens for row in predictions) == pytest.approx(loss, rel=1e-5)
    [alone] = multimodal.predict(config(), model, processor, {}, [PICTURE], {"max_new_tokens": 1})
    assert alone.loss == pytest.approx(predictions[0].loss, rel=1e-4)


def test_the_picture_matters(folder: Path, processor: Gemma3Processor) -> None:
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    losses = [
        multimodal.predict(config(), model, processor, {}, [{"image": stored(name), "text": "red"}], {"max_new_tokens": 1})[0].loss
        for name in ("red", "blue")
    ]
    assert losses[0] != losses[1]


def test_processor_survives_being_saved(processor: Gemma3Processor, tmp_path: Path) -> None:
    template = processor.chat_template + " "
    changed = multimodal.set_up(config(chat_template=template), processor)
    changed.save_pretrained(tmp_path)
    loaded = modeling.load_processor(str(tmp_path), multimodal, config())
    assert loaded.chat_template == loaded.tokenizer.chat_template == AutoTokenizer.from_pretrained(tmp_path).chat_template == template
    assert multimodal.render(config(), loaded, {}, [PICTURE]) == multimodal.render(config(), changed, {}, [PICTURE])
    assert "torchvision" not in type(loaded.image_processor).__name__.lower() and "Pil" in type(loaded.image_processor).__name__


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (dialogue(("user", [{"type": "image"}] * 2), ("assistant", "a"), images=[stored()]), "places for 2 pictures, and it has 1 picture"),
        (dialogue(("user", [{"type": "image"}]), ("assistant", "a"), images=None), "places for 1 picture, and it has 0 pictures"),
        (dialogue(("assistant", "a"), images=[stored()]), "no turn of the user to stand in"),
        (dialogue(("user", "a"), ("assistant", [{"type": "image"}]), images=[stored()]), "a picture stands in an answer"),
        (
            dialogue(("user", "a"), ("assistant", "b"), images=[{"bytes": b"no picture", "path": "x.png"}]),
            "its picture x.png can't be read",
        ),
        (dialogue(("user", "a"), ("assistant", "b"), images=["nowhere.png"]), "its picture nowhere.png can't be read"),
        (dialogue(("user", "see <start_of_image>"), ("assistant", "b"), images=[stored()]), "the special token `<start_of_image>`"),
        (dialogue(images=[]), "has no turns"),
        ({"image": stored(), "text": None}, "its `text` is missing"),
        ({"image": None, "text": "red"}, "its `image` is missing"),
    ],
)
def test_bad_rows_are_named(row: dict[str, Any], says: str, processor: Gemma3Processor) -> None:
    good = {**dict.fromkeys(row), **TEXT} if "messages" in row else {"image": stored(), "text": "red"}
    with pytest.raises(base.RowError, match=says) as error:
        multimodal.render(config(), processor, {}, [good] * 17 + [row])
    assert error.value.place == 17


def test_template_that_writes_no_pictures_is_refused(processor: Gemma3Processor) -> None:
    template = (
        "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m['role'] }}\n"
        "{% for p in m['content'] %}{{ p['text'] }}{% endfor %}<end_of_turn>{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>assistant\n{% endif %}"
    )
    changed = multimodal.set_up(config(chat_template=template), processor)
    with pytest.raises(base.RowError, match="the chat template writes the mark of a picture, `<start_of_image>`, 0 times for 1 picture"):
        multimodal.render(config(), changed, {}, [PICTURE])


def test_model_of_text_is_refused(assets: Path) -> None:
    with pytest.raises(ConfigError, match="this model takes no pictures.*such as Gemma 3.*`method: sft` trains such a model on text"):
        modeling.load_processor(str(assets / "assets/llama"), multimodal, config())
    with pytest.raises(ConfigError, match="this model takes no pictures"):
        modeling.load_processor(str(assets / "assets/llama"), sft, sft.Config(**SHARED), ["messages", "image"])


@pytest.mark.parametrize(
    ("method", "columns", "would"),
    [
        (kto, ["prompt", "completion", "label", "images"], "`grpo`, `multimodal`, `rloo`, `sft` would show them"),
        (reward, ["prompt", "chosen", "rejected", "image"], "`dpo`, `grpo`, `orpo`, `rloo` would show them"),
        (sft, ["image", "text"], "beside `text`; `multimodal` would show them"),
        (causal_lm, ["text", "images"], "beside `text`. To do without them"),
    ],
)
def test_pictures_that_nobody_would_see_are_refused(method: ModuleType, columns: list[str], would: str) -> None:
    told = method.Config(**SHARED)
    with pytest.raises(DataError, match=f"pictures in `images?`, which method `[a-z_]+` shows to no model.*{re.escape(would)}"):
        base.check_columns(told, method.COLUMNS, columns)
    base.check_columns(told, method.COLUMNS, [name for name in columns if not name.startswith("image")])


@pytest.mark.parametrize(
    ("method", "columns"),
    [(sft, ["messages"]), (sft, ["prompt", "completion"]), (dpo, ["prompt", "chosen", "rejected"]), (orpo, ["chosen", "rejected"])],
)
@pytest.mark.parametrize("pictures", ["image", "images"])
def test_pictures_that_are_shown_are_no_reason_to_refuse(method: ModuleType, columns: list[str], pictures: str) -> None:
    base.check_columns(method.Config(**SHARED), method.COLUMNS, [*columns, pictures])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"chat_template": "none"}, "writes no turns"),
        ({"max_length": 9, "on_too_long": "cut_left"}, "cut_left would cut pictures off"),
        ({"train_sampling_strategy": "group_by_length"}, "needs tokens"),
        ({"prompt": "a", "prompt_template": "{b}"}, "prompt would be ignored"),
    ],
)
def test_choices_that_make_no_sense(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        config(**fields)


def test_transparent_and_turned_pictures_are_seen_as_people_see_them(tmp_path: Path) -> None:
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(clear)
    assert pictures.opened(str(clear), 0).getpixel((0, 0)) == (255, 255, 255)
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 8), "blue").save(turned, exif=exif)
    assert pictures.opened({"bytes": turned.read_bytes(), "path": None}, 0).size == (8, 4)


CHAIN = """\
models: {tiny: {source: file://assets/gemma}}
datasets:
  colours: {source: file://assets/colours, split: {test_size: 20, seed: 0}}
  sayings: {source: file://assets/sayings.jsonl, split: {test_size: 2, seed: 0}}
  better: {source: file://assets/better.jsonl, split: {test_size: 2, seed: 0}}
evaluations:
  sayings: {dataset: sayings, generation: {max_new_tokens: 2}}
  colours: {dataset: colours, generation: {max_new_tokens: 2}}
experiments:
  talk: {method: sft, model: tiny, dataset: sayings, evaluations: [sayings], max_steps: 2, threads: 1}
  prefer: {method: dpo, model: talk, dataset: better, max_steps: 2, threads: 1}
  earn:
    {method: grpo, model: prefer, dataset: sayings, rewards: [{name: rouge, kind: rouge1}], max_completion_length: 3, max_steps: 2,
     num_generations: 2, per_device_train_batch_size: 2, threads: 1}
  look: {method: multimodal, model: earn, dataset: colours, evaluations: [colours], max_steps: 2, threads: 1}
"""


@pytest.mark.slow
def test_text_alone_is_for_the_other_methods_and_pictures_may_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, tmp_path)
    said = [{"prompt": f"say {name}{end}", "completion": name} for name in COLOURS for end in ("", "!", "?")]
    better = [{"prompt": row["prompt"], "chosen": row["completion"], "rejected": "no"} for row in said]
    for name, rows in (("sayings", said), ("better", better)):
        (tmp_path / f"assets/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    learning.run_plan(tmp_path, CHAIN, monkeypatch)
    for experiment in ("talk", "prefer", "earn", "look"):
        trained = str(tmp_path / f"results/{experiment}/seed0/train/model")
        model = AutoModelForImageTextToText.from_pretrained(trained)
        assert type(model).__name__ == "Gemma3ForConditionalGeneration"
        assert multimodal.render(config(), modeling.load_processor(trained, multimodal, config()), {}, [PICTURE])[0]["pictures"] == [4]
    assert learning.report(tmp_path, "seed0", "colours", "look")["metrics"]["loss"] > 0


def test_script_makes_the_model_of_the_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = tmp_path / "metadata.jsonl"
    words.write_text('{"text": "red apple", "korean": "빨간 사과"}\n{"text": "flag", "korean": null}\n', encoding="utf-8")
    folders = [tmp_path / name for name in ("one", "two")]
    assert [make_vision_model.main([str(folder), str(words)]) for folder in (*folders, folders[0])] == [0, 0, 0]
    assert "parameters" in capsys.readouterr().out
    for file in folders[0].iterdir():
        assert file.read_bytes() == (folders[1] / file.name).read_bytes(), file.name
    processor = multimodal.set_up(config(), modeling.load_processor(str(folders[0]), multimodal, config()))
    assert multimodal.render(config(), processor, {}, [{"image": stored(), "text": "빨간 사과"}])[0]["pictures"] == [16]
    assert make_vision_model.main([]) == 1
