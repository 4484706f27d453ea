"""An ONNX file with its cache as inputs and outputs, as optimum writes it, on ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_edge.devices.runtimes.contract import Logits, require_room, reusable
from srl_edge.errors import InputError
from srl_edge.models.tokenizer import stop_ids


class OptimumRuntime:
    """ONNX Runtime alone on the CPU; what a run returns as its cache, the next one takes."""

    def __init__(
        self, folder: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        del adapter
        try:
            import onnxruntime
        except ImportError:
            raise InputError(
                "running optimum's ONNX files needs onnxruntime: pip install 'srl-edge[onnx]'."
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self._folder, self._context_length = folder, context_length
        inputs = {i.name: i.shape for i in self._session.get_inputs()}
        self._empty = {
            name: np.zeros([1, shape[1], 0, shape[3]], np.float32)
            for name, shape in inputs.items()
            if name.startswith("past_key_values.")
        }
        self._positions = "position_ids" in inputs
        self.switch(None)

    def switch(self, adapter: Path | None) -> None:
        del adapter  # merged, always
        self._past: dict[str, Any] = self._empty
        self._ids: list[int] = []

    def prefill(self, ids: Sequence[int], reuse: bool = True) -> Logits:
        known = reusable(self._ids, ids) if reuse else 0
        self._past = {name: cache[:, :, :known] for name, cache in self._past.items()}
        self._ids = list(ids)
        return self._forward(self._ids[known:])

    def decode(self, token: int) -> Logits:
        self._ids.append(token)
        return self._forward([token])

    def encode(self, text: str) -> list[int] | None:
        del text  # ONNX Runtime has no tokenizer
        return None

    def stop_ids(self) -> list[int]:
        return stop_ids(self._folder)

    def _forward(self, ids: Sequence[int]) -> Logits:
        length = len(self._ids)
        require_room(length, self._context_length)
        feed = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones([1, length], np.int64),
        }
        if self._positions:
            feed["position_ids"] = np.arange(length - len(ids), length)[None]
        logits, *cache = self._session.run(None, feed | self._past)
        self._past = dict(zip(self._past, cache, strict=True))
        last: Logits = logits[0, -1]
        return last
