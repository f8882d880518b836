"""A model writes, one token after another, as transformers' own loop has it; but a row leaves the batch when it ends.

What a row becomes is its own business: neither the tokens that fill it up nor the rows beside it change more than the last digits of its
logits. Where tokens are drawn, each row has its own dice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import Cache, LogitsProcessorList, StoppingCriteriaList, StopStringCriteria
from transformers.cache_utils import DynamicLayer, EncoderDecoderCache
from transformers.generation.logits_process import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    LogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)
from transformers.generation.stopping_criteria import StoppingCriteria
from transformers.utils import ModelOutput

from polar_tools import signals
from polar_tools.errors import RowError, UnfinishedError

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

ROOM = 64
"""Columns by which a cache grows, so that a token doesn't cost a copy of all before it."""
LEAVING = 8
"""Rows leave together, when they are this part of a batch: to leave costs a copy of the rest."""
FEW, CACHE = 4096, 2**30
"""Tokens, read and written, that a batch may have in any case, and bytes that the model may remember of them."""
READERS = (RepetitionPenaltyLogitsProcessor, NoRepeatNGramLogitsProcessor)
"""What looks at the tokens that are there: it must not see those that fill a row up."""
BOUND = (EncoderRepetitionPenaltyLogitsProcessor, EncoderNoRepeatNGramLogitsProcessor)
"""What knows rows by their places in the batch, which must then stay as they are."""
BROKEN = (
    "the model gives NaN where numbers must be: its weights are broken, or too large for `dtype: float16`; take float32 or bfloat16, or "
    "look where its training's loss went wrong"
)


class Written(NamedTuple):
    """What a model wrote: the text without special tokens and outer blanks, and whether it ended only because it might be no longer."""

    text: str
    cut: bool


def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Mapping[str, Any],
    generation: Mapping[str, Any],
    seeds: Sequence[int],
    leaving: bool = True,
    each: Callable[[list[int]], None] | None = None,
) -> list[Written]:
    """What follows each row of `inputs`, tensors where the model is, filled up on the left for a decoder.

    `generation` holds arguments of transformers' `generate`; `seeds` are those of the rows' dice. Where `leaving` is false, all rows stay
    to the end. `each` is told the ids of the first row so far, after every token. Raises RowError where logits are NaN.
    """
    told = {name: value for name, value in generation.items() if name not in ("seed", "stop_strings")}
    told = {"eos_token_id": tokenizer.eos_token_id, **told, "pad_token_id": padding(tokenizer)}
    stops, start = tuple(generation.get("stop_strings", ())), _start(model, inputs)
    if stops:
        told["stopping_criteria"] = StoppingCriteriaList([_Behind(StopStringCriteria(tokenizer, list(stops)), start)])
    with torch.inference_mode():
        if beams(model, generation) > 1:
            rows = _searched(model, inputs, told, seeds, start)
        else:
            rows = model.generate(
                **inputs, **told, custom_generate=_Steps(_gaps(model, inputs), seeds, leaving and _can_leave(model), each)
            )
    return _texts(tokenizer, rows, told, stops, model.generation_config.forced_eos_token_id is not None)


def beams(model: PreTrainedModel, generation: Mapping[str, Any]) -> int:
    """Beams of the search: as asked for, or as the model says."""
    return int(generation.get("num_beams") or model.generation_config.num_beams or 1)


def counts_ngrams(model: PreTrainedModel, generation: Mapping[str, Any]) -> bool:
    """Whether what is written depends on the n-grams that are there, of which a search would count those that fill rows up."""
    return bool(generation.get("no_repeat_ngram_size", model.generation_config.no_repeat_ngram_size))


def tokens_at_once(model: PreTrainedModel) -> int:
    """Tokens of which a model remembers as much as its weights have, which each step reads anyway, or CACHE; FEW where it doesn't say."""
    text = model.config.get_text_config(decoder=True)
    try:
        layers, hidden, heads = text.num_hidden_layers, text.hidden_size, text.num_attention_heads
    except AttributeError:
        return FEW
    told = text.to_dict()
    kept = 2 * layers * (told.get("num_key_value_heads") or heads) * (told.get("head_dim") or hidden // heads)
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    return max(FEW, int(max(weights, CACHE) // (kept * model.dtype.itemsize)))


def padding(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills rows up."""
    pad: int = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return pad


def _start(model: PreTrainedModel, inputs: Mapping[str, Any]) -> int:
    """The column in which a model begins to write: a decoder behind the prompt, that of an encoder-decoder behind its first token."""
    return 1 if model.config.is_encoder_decoder else int(inputs["input_ids"].shape[1])


def _gaps(model: PreTrainedModel, inputs: Mapping[str, Any]) -> list[int]:
    """Tokens by which each row is filled up on the left."""
    if model.config.is_encoder_decoder or inputs.get("attention_mask") is None:
        return [0] * len(inputs["input_ids"])
    gaps: list[int] = inputs["attention_mask"].eq(0).sum(1).tolist()
    return gaps


def _can_leave(model: PreTrainedModel) -> bool:
    """Whether a model keeps nothing about its rows but its cache; one that is shown pictures may keep where they stood."""
    return bool(model.config.is_encoder_decoder or model.config.get_text_config(decoder=True) is model.config)


class _Behind(StoppingCriteria):
    """A criterion that sees only what is written: a prompt may end with a part of what ends a text."""

    def __init__(self, inner: StoppingCriteria, start: int) -> None:
        self.inner, self.start = inner, start

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        found: torch.Tensor = self.inner(input_ids[:, self.start :], scores, **kwargs)
        return found


class _RefuseBroken(LogitsProcessor):
    """Raises RowError for scores that are NaN, for a search that would go on as if they weren't."""

    def __init__(self, beams: int) -> None:
        self.beams = beams

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        broken = scores.isnan().any(-1)
        if broken.any():
            raise RowError(int(broken.nonzero()[0]) // self.beams, BROKEN)
        return scores


def _searched(model: PreTrainedModel, inputs: Mapping[str, Any], told: dict[str, Any], seeds: Sequence[int], start: int) -> list[list[int]]:
    """The ids that a search with beams finds for each row; one that draws has one row, or else rows would share their dice."""
    refuse = LogitsProcessorList([_RefuseBroken(beams(model, told))])
    draws = bool(told.get("do_sample", model.generation_config.do_sample))
    with torch.random.fork_rng() if draws else nullcontext():
        if draws:
            torch.manual_seed(seeds[0])
        output = model.generate(**inputs, **told, logits_processor=refuse)
    rows: list[list[int]] = output[:, start:].tolist()
    return rows


class _Steps:
    """The loop, as transformers' `custom_generate`: returns the ids that follow each row."""

    def __init__(self, gaps: Sequence[int], seeds: Sequence[int], leaving: bool, each: Callable[[list[int]], None] | None) -> None:
        self.gaps, self.seeds, self.leaving, self.each = list(gaps), seeds, leaving, each

    def __call__(
        self,
        model: Any,
        input_ids: torch.Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **model_kwargs: Any,
    ) -> list[list[int]]:
        first, rows = input_ids.shape[1], list(range(len(input_ids)))
        done: dict[int, list[int]] = {}
        dice = _dice(self.seeds, generation_config) if generation_config.do_sample else None
        cache = model_kwargs.get("past_key_values")
        leaving = self.leaving and isinstance(cache, Cache) and not any(isinstance(one, BOUND) for one in logits_processor)
        for processor in logits_processor:
            if isinstance(processor, RepetitionPenaltyLogitsProcessor):
                processor.prompt_ignore_length = None  # it is given rows without what fills them up
        _make_room(cache)
        outputs = model._prefill(input_ids, generation_config, model_kwargs)
        with model._optimize_model_for_decode():
            while True:
                model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs, model.config.is_encoder_decoder)
                logits = outputs.logits[:, -1].to(copy=True, dtype=torch.float32, device=input_ids.device)
                del outputs
                scores = _processed(logits_processor, input_ids, logits, [self.gaps[row] for row in rows])
                column = None if dice is None else dice[rows, input_ids.shape[1] - first].to(scores.device)
                chosen, broken = _chosen(scores, column)
                input_ids = torch.cat([input_ids, chosen[:, None]], dim=1)
                self._note(done, rows, input_ids[:, first:], stopping_criteria(input_ids, None), broken)
                if len(done) == len(self.gaps):
                    return [done[row] for row in sorted(done)]
                if signals.out_of_time():
                    raise UnfinishedError(f"stopped by {signals.asked()}: this batch takes too long; run the same command again to go on")
                stay = [place for place, row in enumerate(rows) if row not in done]
                if leaving and (len(rows) - len(stay)) * LEAVING >= len(rows):
                    places = torch.tensor(stay, device=input_ids.device)
                    model_kwargs = {name: _selected(value, places, len(rows)) for name, value in model_kwargs.items()}
                    input_ids, rows = input_ids.index_select(0, places), [rows[place] for place in stay]
                step = 1 if model_kwargs["use_cache"] else None
                outputs = model(
                    **model.prepare_inputs_for_generation(input_ids, next_sequence_length=step, **model_kwargs), return_dict=True
                )

    def _note(
        self, done: dict[int, list[int]], rows: Sequence[int], written: torch.Tensor, over: torch.Tensor, broken: torch.Tensor
    ) -> None:
        """Put into `done` the ids of rows that ended; raises RowError for one that is broken."""
        for place, (ended, wrong) in enumerate(torch.stack([over.to(broken.device), broken], dim=1).tolist()):
            if rows[place] in done:
                continue
            if wrong:
                raise RowError(rows[place], BROKEN)
            if ended:
                done[rows[place]] = written[place].tolist()
            if self.each is not None and rows[place] == 0:
                self.each(written[place].tolist())


def _processed(processors: LogitsProcessorList, input_ids: torch.Tensor, logits: torch.Tensor, gaps: Sequence[int]) -> torch.Tensor:
    """What is left of `logits` [rows, vocabulary], row by row where what fills a row up would be taken for its text."""
    for processor in processors:
        if isinstance(processor, READERS) and any(gaps):
            each = [processor(input_ids[row : row + 1, gap:], logits[row : row + 1]) for row, gap in enumerate(gaps)]
            logits = torch.cat(each)
        else:
            logits = processor(input_ids, logits)
    return logits


def _chosen(scores: torch.Tensor, draw: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of each row, the most probable or the one on which its `draw` in [0, 1) falls, and whether its scores are NaN."""
    highest, best = scores.max(dim=-1)
    if draw is None:
        return best, highest.isnan()
    heaped = scores.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
    place = torch.searchsorted(heaped, (draw * heaped[:, -1])[:, None], right=True)[:, 0]
    return place.clamp(max=scores.shape[-1] - 1), highest.isnan()


def _dice(seeds: Sequence[int], generation_config: GenerationConfig) -> torch.Tensor:
    """Numbers in [0, 1) of each row [rows, tokens]."""
    most = int(generation_config.max_new_tokens or generation_config.max_length)
    return torch.stack([torch.rand(most, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds])


def _selected(value: Any, places: torch.Tensor, rows: int) -> Any:
    """What of a batch of `rows` belongs to the rows at `places`."""
    if isinstance(value, Cache):
        value.reorder_cache(places)
    elif isinstance(value, torch.Tensor) and value.dim() and value.shape[0] == rows:
        return value.index_select(0, places)
    elif isinstance(value, ModelOutput):
        return type(value)(**{name: _selected(part, places, rows) for name, part in value.items()})
    elif isinstance(value, tuple):
        return tuple(_selected(part, places, rows) for part in value)
    return value


class _Roomy(DynamicLayer):
    """A layer of a cache with room behind its columns: a step writes a column rather than copies all."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.room = [torch.empty(0), torch.empty(0)]
        self.length = 0

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before, self.length = self.length, self.length + key_states.shape[-2]
        for number, new in enumerate((key_states, value_states)):
            if self.room[number].numel() == 0 or self.room[number].shape[-2] < self.length:
                self.room[number] = _grown(self.room[number], new, before, self.length + ROOM)
            self.room[number][..., before : self.length, :] = new
        self._show()
        return self.keys, self.values

    def _show(self) -> None:
        self.keys, self.values = (room[..., : self.length, :] for room in self.room)

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        if self.is_initialized and self.length:
            self.room = [room.index_select(0, beam_idx.to(room.device)) for room in self.room]
            self._show()


def _grown(old: torch.Tensor, new: torch.Tensor, used: int, columns: int) -> torch.Tensor:
    """Room for so many `columns` of tensors like `new` [..., columns, size], with what is `used` of the `old`."""
    room = new.new_empty((*new.shape[:-2], columns, new.shape[-1]))
    if used:
        room[..., :used, :] = old[..., :used, :]
    return room


def _make_room(cache: Any) -> None:
    """Let the plain layers of an empty cache have room."""
    if isinstance(cache, EncoderDecoderCache):
        cache = cache.self_attention_cache
    if isinstance(cache, Cache):
        cache.layers = [_Roomy() if type(layer) is DynamicLayer and not layer.is_initialized else layer for layer in cache.layers]


def _texts(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[list[int]], told: Mapping[str, Any], stops: Sequence[str], forced: bool
) -> list[Written]:
    """Ids as texts. `forced` says that the model must end where it may write no more, so that an end there means nothing."""
    ends, most = told["eos_token_id"], told.get("max_new_tokens")
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    kept = [ids[: next((place + 1 for place, number in enumerate(ids) if number in ends), len(ids))] for ids in rows]
    written = []
    for ids, text in zip(kept, tokenizer.batch_decode(kept, skip_special_tokens=True), strict=True):
        ended = bool(ids) and ids[-1] in ends and not (forced and len(ids) == most)
        found = [place for place in (text.find(stop) for stop in stops) if place >= 0]
        written.append(Written(text[: min(found, default=len(text))].strip(), not ended and not found))
    return written
