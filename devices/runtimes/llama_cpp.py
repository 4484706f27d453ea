"""A GGUF file through llama.cpp itself, by llama-cpp-python."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_edge.artifact import GGUF
from srl_edge.devices.runtimes.contract import Logits, reusable
from srl_edge.models.tokenizer import stop_ids


class LlamaCppRuntime:
    """llama.cpp on the CPU, with its defaults but for threads and context.

    The file is `model.gguf` of a folder, or one that others made.
    """

    def __init__(
        self, path: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        del adapter  # merged, always
        import llama_cpp

        self._library: Any = llama_cpp
        self._model: Any = llama_cpp.Llama(
            str(path / GGUF if path.is_dir() else path),
            n_ctx=context_length,
            n_threads=threads or None,
            n_threads_batch=threads or None,
            verbose=False,
        )
        self._folder = path if path.is_dir() else path.parent
        self._ids: list[int] = []

    def switch(self, adapter: Path | None) -> None:
        del adapter

    def prefill(self, ids: Sequence[int], reuse: bool = True) -> Logits:
        # A sliding window's cache no longer holds what it has moved past.
        windowed = self._library.llama_model_n_swa(self._model.model) > 0
        known = reusable(self._ids, ids) if reuse and not windowed else 0
        self._model.n_tokens = known  # `eval` drops what the cache holds beyond
        self._ids = list(ids)
        return self._read(self._ids[known:])

    def decode(self, token: int) -> Logits:
        self._ids.append(token)
        return self._read([token])

    def encode(self, text: str) -> list[int] | None:
        return list(self._model.tokenize(text.encode(), add_bos=False, special=True))

    def stop_ids(self) -> list[int]:
        vocabulary = self._library.llama_model_get_vocab(self._model.model)
        ends = {
            token
            for token in range(self._model.n_vocab())
            if self._library.llama_vocab_is_eog(vocabulary, token)
        }
        # It ends replies at more of them; that matters only where training did not.
        return sorted(ends & set(stop_ids(self._folder)) | {self._model.token_eos()})

    def _read(self, ids: Sequence[int]) -> Logits:
        self._model.eval(ids)
        found = self._library.llama_get_logits_ith(self._model.ctx, -1)
        logits: Logits = np.ctypeslib.as_array(found, (self._model.n_vocab(),)).copy()
        return logits
