"""What the gate found of an artifact, as it travels from the measuring to the page and the disk.

Its file has all figures side by side: those of a row's parts are keys of the row there.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from srl_edge.files import misread, read_json
from srl_edge.report.rows import Paired
from srl_edge.shapes import Count


@dataclass(frozen=True, slots=True)
class MisreadChat:
    """A chat whose token ids are other than the trained model's, and the first that are.

    asked: whether it is one of the run's own prompts.
    """

    chat: str
    asked: bool
    position: Count
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Readings:
    """How an artifact reads chats and where it ends replies, beside the trained model.

    first_chat, first_runtime_chat: the first that its files, and its runtime, read otherwise.
    """

    chats: Count
    chats_equal: Count
    first_chat: MisreadChat | None
    runtime_chats_equal: Count
    first_runtime_chat: MisreadChat | None
    stop_ids: list[Count]
    stop_ids_expected: list[Count]
    stop_ids_equal: bool


@dataclass(frozen=True, slots=True)
class OtherToken:
    """A place at which another next token is the likeliest."""

    prompt: str
    step_index: Count
    position: Count
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class NextTokens:
    """Next tokens beside a reference's, over all positions.

    agreement: the share that are the same. ties: positions that differ and may; agreement_but_ties
    counts them as the same, and first_difference is none of them. not_finite: positions with a
    logit that is no finite number.
    """

    positions: Count
    not_finite: Count
    agreement: float
    ties: Count
    agreement_but_ties: float
    kl_divergence: float
    max_logit_error: float
    first_difference: OtherToken | None


@dataclass(frozen=True, slots=True)
class LongText:
    """Next tokens in one text that goes past a sliding window, or fills the context."""

    tokens: Count
    next_tokens: NextTokens


@dataclass(frozen=True, slots=True)
class SeparateAdapter:
    """An adapter beside its base: in words, its size, and what switching it takes and leaves.

    adapter_effect: the cosine of what it and PEFT's add to the logits; None where that is too
    little to compare.
    """

    separate_adapter: str
    adapter_bytes: Count
    adapter_effect: float | None
    switch_milliseconds: float
    switches_exactly: bool


def _in_parts(flat: Any) -> Any:
    """A row as its file has it, with the same again for each of its parts to take its own from."""
    if not isinstance(flat, dict):
        return flat
    adapter = flat if "separate_adapter" in flat else None
    return flat | dict.fromkeys(_PARTS, flat) | {"adapter": adapter}


_PARTS = ("readings", "next_tokens", "adapter", "answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that the gate measures of an artifact.

    answers: to problems, beside the reference's. reference: which model it was compared with.
    merging: the merged model beside the one with its adapter beside it; None without one.
    manifest_sha256: of the artifact's, which has the hashes of its files; not in older files.
    """

    artifact: str
    prompts: Count
    readings: Readings
    next_tokens: NextTokens
    agreement_threshold: float
    greedy_texts_equal: Count
    greedy_tokens_before_first_difference: float
    long: list[Annotated[LongText, BeforeValidator(_in_parts)]]
    adapter: SeparateAdapter | None
    answers: Paired
    peak_memory_mib: float
    reference: str
    merging: NextTokens | None = None
    manifest_sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityRow(Measured):
    """What was measured, and what of it fails the artifact, in sentences."""

    failures: list[str]
    passed: bool


_ROW: TypeAdapter[ParityRow] = TypeAdapter(Annotated[ParityRow, BeforeValidator(_in_parts)])


def judged(measured: Measured, failures: list[str]) -> ParityRow:
    """The row of what was measured, which passes where nothing fails it."""
    figures = {field.name: getattr(measured, field.name) for field in fields(Measured)}
    return ParityRow(**figures, failures=failures, passed=not failures)


def as_json(row: ParityRow) -> dict[str, Any]:
    """The row as plain JSON values, side by side; without those of parts that it has not."""
    values = _side_by_side(_ROW.dump_python(row, mode="json"))
    values["long"] = [_side_by_side(text) for text in values["long"]]
    if row.merging is None:
        del values["merging"]
    return values


def _side_by_side(values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (value or {}) if key in _PARTS else {key: value}
    return flat


def read(file: Path) -> ParityRow:
    """The row that a file holds; raises InputError, in one sentence, where it holds another."""
    text = json.dumps(read_json(file, "Json"))
    try:
        return _ROW.validate_json(text, strict=True)  # of Python values strict would want our own
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(key) for key in first["loc"] if key not in _PARTS) or "the whole"
        raise misread(file, f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
