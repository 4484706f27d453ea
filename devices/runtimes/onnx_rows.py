"""Several sequences at once on ONNX Runtime alone, by the graph of an onnxruntime-genai folder.

onnxruntime-genai itself (0.18) takes no prompts of unequal lengths: padded on either side, the
shorter ones get other tokens, and of several rows none can be chosen by its caller.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_edge.devices.runtimes.contract import Logits, require_room, reusable

Cache = np.ndarray[Any, Any]
_ATTENTION = "GroupQueryAttention"


def takes_rows(folder: Path, decoder: Mapping[str, Any]) -> bool:
    """Whether every layer of a graph attends by the operator that knows the length of each row.

    decoder: that section of genai_config.json. False too where `onnx` or `onnxruntime` is missing,
    as on a small device.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError:
        return False
    if "sliding_window" in decoder:  # caches of another length
        return False
    try:
        cached = [*_cached(decoder), *_cached(decoder, "outputs", "present")]
        sizes = [decoder[name] for name in ("num_key_value_heads", "head_size")]
    except (KeyError, TypeError):  # it leaves to onnxruntime-genai what they are
        return False
    if not cached or not all(isinstance(size, int) for size in sizes):
        return False
    graph = onnx.load(folder / decoder["filename"], load_external_data=False).graph
    attending = [node.op_type for node in graph.node if "Attention" in node.op_type]
    given = {value.name for value in graph.input}
    known = {"input_ids", "attention_mask", "position_ids", *_cached(decoder)}
    return (
        attending == [_ATTENTION] * decoder["num_hidden_layers"]
        and {"input_ids", "attention_mask"} <= given <= known
    )


def _cached(decoder: Mapping[str, Any], kind: str = "inputs", tense: str = "past") -> list[str]:
    names = (decoder[kind][f"{tense}_{part}_names"] for part in ("key", "value"))
    layers = range(decoder["num_hidden_layers"])
    return [name.replace("%d", str(layer)) for name in names for layer in layers]


class OnnxRows:
    """Implements `Rows`: prompts are read one after the other, and steps taken together.

    Caches are [R, Hkv, T + room, D], one a row; the graph writes keys and values in place.
    """

    def __init__(
        self, folder: Path, decoder: Mapping[str, Any], context_length: int, threads: int
    ) -> None:
        import onnxruntime

        self._ort: Any = onnxruntime
        self._context_length = context_length
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            folder / decoder["filename"], options, providers=["CPUExecutionProvider"]
        )
        self._past = _cached(decoder)
        self._present = _cached(decoder, "outputs", "present")
        inputs = {value.name: value for value in self._session.get_inputs()}
        self._positioned = "position_ids" in inputs
        kind = np.float16 if "float16" in inputs[self._past[0]].type else np.float32
        shape = (1, decoder["num_key_value_heads"], 0, decoder["head_size"])
        self._read: list[Cache] = [np.zeros(shape, kind) for _ in self._past]
        self._ids: list[int] = []

    def bytes_a_token(self) -> int:
        _, heads, _, size = self._read[0].shape
        return sum(heads * size * read.itemsize for read in self._read)

    def start(self, prompts: Sequence[Sequence[int]], room: int) -> Logits:
        lengths = np.array([len(prompt) for prompt in prompts])
        require_room(int(lengths.max()), self._context_length)
        one = self._read[0].shape
        shape = (len(prompts), one[1], int(lengths.max()) + room, one[3])
        self._caches = [np.zeros(shape, read.dtype) for read in self._read]
        self._lengths = lengths
        found: list[Logits] = []
        for row, prompt in enumerate(prompts):
            again = row > 0 and list(prompt) == self._ids  # as attempts at one problem ask
            found.append(found[-1] if again else self._prefill(list(prompt)))
            for cache, read in zip(self._caches, self._read, strict=True):
                cache[row, :, : len(prompt)] = read[0]
        self._bind()
        return np.stack(found)

    def advance(self, tokens: Sequence[int]) -> Logits:
        self._lengths = self._lengths + 1
        require_room(int(self._lengths.max()), self._context_length)
        # The graph only counts the ones of a row: so many tokens it has, this one among them.
        mask = (np.arange(self._lengths.max()) < self._lengths[:, None]).astype(np.int64)
        self._binding.bind_cpu_input("attention_mask", mask)
        self._binding.bind_cpu_input("input_ids", np.array(tokens, np.int64)[:, None])
        if self._positioned:
            self._binding.bind_cpu_input("position_ids", self._lengths[:, None] - 1)
        self._binding.bind_output("logits")
        self._session.run_with_iobinding(self._binding)
        logits: Logits = self._binding.get_outputs()[-1].numpy()[:, -1].astype(np.float32)
        return logits

    def keep(self, rows: Sequence[int]) -> None:
        self._lengths = self._lengths[list(rows)]
        self._caches = [cache[list(rows)] for cache in self._caches]
        self._bind()

    def _prefill(self, ids: list[int]) -> Logits:
        """Logits [V] after a prompt; what it shares with the one before is not computed again."""
        known = reusable(self._ids, ids)
        feed: dict[str, Any] = {
            "input_ids": np.array([ids[known:]], np.int64),
            "attention_mask": np.ones([1, len(ids)], np.int64),
        }
        if self._positioned:
            feed["position_ids"] = np.arange(known, len(ids))[None]
        past = (read[:, :, :known] for read in self._read)
        feed |= dict(zip(self._past, past, strict=True))
        logits, *self._read = self._session.run(["logits", *self._present], feed)
        self._ids = ids
        last: Logits = logits[0, -1].astype(np.float32)
        return last

    def _bind(self) -> None:
        """Let each cache be read and written at the same place, so that no step copies it."""
        self._binding = self._session.io_binding()
        for past, present, cache in zip(self._past, self._present, self._caches, strict=True):
            both = self._ort.OrtValue.ortvalue_from_numpy(cache)
            self._binding.bind_ortvalue_input(past, both)
            self._binding.bind_ortvalue_output(present, both)
