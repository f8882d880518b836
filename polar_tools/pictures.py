"""Text with pictures -> what an image + text model is given, and labels: one way for measuring, for training and for generating.

Rows are shown with their pictures where they have a column for them. Then the processor takes the place of the tokenizer everywhere.

A chat template writes a mark where a picture stands; the processor puts the picture's own tokens there, as many as the picture needs.
It says where in the text it put them, so an answer is found there as it is in any other text, and the ids are compared with its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from polar_tools import journal, labelling
from polar_tools.errors import ConfigError, DataError, RowError
from polar_tools.marks import Example
from polar_tools.templates import Dialogue, Text, Turn

if TYPE_CHECKING:
    from PIL import Image
    from transformers import PreTrainedModel, ProcessorMixin

    from polar_tools import inference

S = TypeVar("S")

COLUMNS = ("images", "image")
"""What holds the pictures of a row: a list of them, or one."""
BATCH = 16
"""Rows whose pictures are looked at together."""
UNFIT: tuple[tuple[str, Any, str], ...] = (
    ("chat_template", "none", "writes no turns, in which a picture could stand"),
    ("on_too_long", "cut_left", "would cut pictures off, which stand at the beginning; choose another"),
    ("train_sampling_strategy", "group_by_length", "needs tokens, and pictures become such when their batch's turn comes; choose random"),
    ("packing", True, "rows with pictures can't be packed; leave it out"),
    ("padding_free", True, "rows with pictures stand beside each other; leave it out"),
    ("precompute_ref_log_probs", True, "trl asks the reference about rows with pictures only while training; leave it out"),
)
"""Fields, of whichever method has them, and choices that don't go with pictures, and why."""


class Row(NamedTuple):
    """A row as text, in which a mark stands for each picture, and the pictures in their order."""

    text: Text
    pictures: Sequence[Any]


class Batch(NamedTuple):
    """What a model takes, padded, and the same as rows with labels."""

    inputs: dict[str, Any]
    examples: list[Example]


def of(row: Mapping[str, Any]) -> list[Any]:
    """The pictures of a row as they are stored: none where it has no such column, or nothing in it."""
    found: Any = next((row[name] for name in COLUMNS if row.get(name) is not None), [])
    return list(found) if isinstance(found, list | tuple) else [found]


def among(columns: Collection[str]) -> bool:
    """Whether one of `columns` holds pictures."""
    return any(name in columns for name in COLUMNS)


def fits(wanted: Collection[str], columns: Collection[str]) -> bool:
    """Whether `columns` has all that are `wanted`; where a method wants `images`, one `image` will do."""
    return all(name in columns or (name == "images" and "image" in columns) for name in wanted)


def shown_by(processor: Any) -> bool:
    """Whether this is a processor, which shows pictures, rather than a tokenizer."""
    from transformers import ProcessorMixin

    return isinstance(processor, ProcessorMixin)


def refuse_blind(processor: Any) -> None:
    """Raise ConfigError for what prepares no pictures."""
    if not shown_by(processor) or "image_processor" not in processor.get_attributes():
        raise ConfigError(
            "this model takes no pictures: it has a tokenizer, but no image processor (processor_config.json or preprocessor_config.json). "
            "Choose one that reads pictures and text, such as Gemma 3, or leave the pictures out, by `columns: {name: column}` in the "
            "dataset: `method: sft` trains such a model on text"
        )


def unfit(config: Any) -> str | None:
    """What to say of a choice in `config` that doesn't go with pictures."""
    told = config.model_dump(include={name for name, _, _ in UNFIT} | {"max_prompt_length"})
    if told.get("max_prompt_length") is not None:
        return "max_prompt_length: would cut pictures off, which stand in prompts; set `max_length`"
    return next((f"{name}: {str(choice).lower()} {why}" for name, choice, why in UNFIT if told.get(name) == choice), None)


def set_up(config: Any, processor: ProcessorMixin) -> None:
    """Let processor and tokenizer have one chat template; raises ConfigError for a choice that doesn't go with pictures."""
    if problem := unfit(config):
        raise ConfigError(problem)
    tokenizer = processor.tokenizer
    tokenizer.chat_template = processor.chat_template or tokenizer.chat_template
    if tokenizer.chat_template is None and config.chat_template == "tokenizer":
        raise ConfigError("this model has no chat template; set `chat_template` to one of your own that writes parts of type `image`")


def with_places(turns: Sequence[Turn], pictures: int, place: int) -> list[Turn]:
    """`turns` with a part for each picture: those that are there already, or else before what the user says first.

    Raises RowError where there are more or fewer than `pictures`, and where one is the assistant's.
    """
    shown = [_parts(turn) for turn in turns]
    places = sum(part.get("type") == "image" for turn in shown for part in turn["content"])
    if not places and pictures:
        first = next((number for number, turn in enumerate(shown) if turn["role"] == "user"), None)
        if first is None:
            raise RowError(place, f"it has {_count(pictures)}, but no turn of the user to stand in")
        shown[first] = {**shown[first], "content": [*[{"type": "image"}] * pictures, *shown[first]["content"]]}
    elif places != pictures:
        raise RowError(place, f"its turns have places for {_count(places)}, and it has {_count(pictures)} in `images`")
    if any(part.get("type") == "image" for turn in shown if turn["role"] == "assistant" for part in turn["content"]):
        raise RowError(place, "a picture stands in an answer, which a model that writes text can't learn; move it into the user's turn")
    return shown


def _parts(turn: Turn) -> Turn:
    """A turn whose content is parts; one that only calls tools has none."""
    said = turn.get("content")
    return {**turn, "content": [{"type": "text", "text": said}] if isinstance(said, str) else list(said or [])}


def _count(pictures: int) -> str:
    return f"{pictures} picture{'' if pictures == 1 else 's'}"


def placed(dialogues: Sequence[Dialogue], pictures: Sequence[Sequence[Any]]) -> list[Dialogue]:
    """Each dialogue with places for its pictures; raises RowError as `with_places`."""
    pairs = enumerate(zip(dialogues, pictures, strict=True))
    return [one._replace(turns=with_places(one.turns, len(shown), place)) for place, (one, shown) in pairs]


def rows(processor: ProcessorMixin, texts: Sequence[Text], pictures: Sequence[Sequence[Any]]) -> list[Row]:
    """Texts that the chat template wrote with their pictures; raises RowError where there is no mark for one."""
    for place, (text, given) in enumerate(zip(texts, pictures, strict=True)):
        if (marked := text.text.count(processor.image_token)) != len(given):
            raise RowError(
                place, f"the chat template writes the mark of a picture, `{processor.image_token}`, {marked} times for {_count(len(given))}"
            )
    return [Row(text, given) for text, given in zip(texts, pictures, strict=True)]


def batch(processor: ProcessorMixin, rows: Sequence[Row], side: str = "right") -> Batch:
    """What a model is given of `rows`, filled up on the `side`; raises RowError for a picture that can't be read."""
    pictures = [[opened(picture, place) for picture in row.pictures] for place, row in enumerate(rows)]
    inputs = processor(
        text=[row.text.text for row in rows],
        images=pictures if any(pictures) else None,
        add_special_tokens=False,
        padding=True,
        padding_side=side,
        return_text_replacement_offsets=True,
    )
    if "text_replacement_offsets" not in inputs:
        raise ConfigError(f"{type(processor).__name__} doesn't say where it puts pictures, so what is trained on can't be told apart")
    spans = inputs.pop("text_replacement_offsets")
    examples = labelling.labelled(processor.tokenizer, [_expanded(row.text, put) for row, put in zip(rows, spans, strict=True)])
    for place, (example, ids, mask) in enumerate(zip(examples, inputs["input_ids"], inputs["attention_mask"], strict=True)):
        if example["input_ids"] != [number for number, there in zip(ids, mask, strict=True) if there]:
            raise RowError(place, f"{type(processor).__name__} makes other tokens of it than its tokenizer makes of the same text")
        if any(label in processor.image_token_ids for label in example["labels"]):
            raise RowError(place, "the token of a picture stands in an answer")
    return Batch(dict(inputs.convert_to_tensors("pt")), examples)


def before_answer(processor: ProcessorMixin, row: Row) -> Row:
    """What stands before the last answer of a row, and the pictures there."""
    before = row.text.text[: row.text.answers[-1][0]] if row.text.answers else row.text.text
    return Row(Text(before, []), row.pictures[: before.count(processor.image_token)])


def render(processor: ProcessorMixin, rows: Sequence[Row]) -> list[Example]:
    """Ids of each row with those of its pictures, labels (its answers), and how many of the ids are a picture's."""
    batches = each(rows, lambda some: batch(processor, some).examples)
    return [{**example, "pictures": [tokens(processor, example)]} for examples in batches for example in examples]


def tokens(processor: ProcessorMixin, example: Example) -> int:
    """How many of the ids of an example are a picture's."""
    special = set(processor.image_token_ids)
    return sum(number in special for number in example["input_ids"])


def refuse_cut(processor: ProcessorMixin, example: Example) -> None:
    """Raise DataError for an example of `render` of whose pictures a cut left a part."""
    if tokens(processor, example) != example["pictures"][0]:
        raise DataError("max_length would cut tokens of its pictures off; raise it, or choose `on_too_long: drop`")


def losses(model: PreTrainedModel, processor: ProcessorMixin, rows: Sequence[Row]) -> list[inference.Loss]:
    """Summed cross-entropy in nats of the trained tokens of each row, whose pictures `model` is shown."""
    from polar_tools import inference
    from polar_tools.trainers.multimodal import labels

    def some(rows: Sequence[Row]) -> list[inference.Loss]:
        whole = batch(processor, rows)
        return inference.losses(model, whole.inputs, labels(whole.examples, whole.inputs["input_ids"].shape[1]))

    return [inference.Loss(*loss) for found in each(rows, some) for loss in found]


def continuations(
    model: PreTrainedModel, processor: ProcessorMixin, rows: Sequence[Row], generation: Mapping[str, Any]
) -> list[inference.Written]:
    """What `model`, which is shown the pictures, writes behind each row."""
    from polar_tools import inference

    def some(rows: Sequence[Row]) -> list[inference.Written]:
        return inference.continuations(model, processor.tokenizer, batch(processor, rows, "left").inputs, generation)

    return [inference.Written(*one) for written in each(rows, some) for one in written]


def each(rows: Sequence[S], made: Callable[[Sequence[S]], Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """What `made` makes of a few rows at a time; the place of a RowError is counted from the first of all."""
    done, batches = 0, journal.in_batches("showing pictures", rows, BATCH, made, given=lambda row: row)
    while done < len(rows):
        try:
            some, found = next(batches)
        except RowError as error:
            raise RowError(done + error.place, str(error)) from error
        yield found
        done += len(some)


def _expanded(text: Text, spans: Sequence[Mapping[str, Any]]) -> Text:
    """`text` with what the processor puts in the place of each mark."""
    pieces, done = [], 0
    for span in spans:
        begin, end = span["span"]
        pieces += [text.text[done:begin], span["replacement"]]
        done = end

    def moved(place: int) -> int:
        return place + sum(len(span["replacement"]) - len(span["text"]) for span in spans if span["span"][0] < place)

    return Text("".join([*pieces, text.text[done:]]), [(moved(begin), moved(end)) for begin, end in text.answers])


def opened(picture: Any, place: int) -> Image.Image:
    """A picture as it is stored: a record of `bytes` and `path`, bytes, or a path. It is upright, and on white where it is transparent.

    Raises RowError where it can't be read.
    """
    from PIL import Image, ImageOps

    path = picture.get("path") if isinstance(picture, Mapping) else picture
    content = (picture.get("bytes") if isinstance(picture, Mapping) else None) or path
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else str(content)) as image:
            upright = ImageOps.exif_transpose(image)
            if not upright.has_transparency_data:
                return upright.convert("RGB")
            white = Image.new("RGBA", upright.size, "white")
            return Image.alpha_composite(white, upright.convert("RGBA")).convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise RowError(place, f"its picture {path if isinstance(path, str) else ''} can't be read: {error}") from error
