"""An MLX folder, through mlx-lm: on a Mac's GPU, elsewhere on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_edge.devices.runtimes.contract import Logits, require_room, reusable
from srl_edge.errors import InputError
from srl_edge.models.loading import require_sizes
from srl_edge.models.tokenizer import stop_ids


class MlxRuntime:
    """The model of an MLX folder with mlx-lm's cache; threads are MLX's own choice."""

    def __init__(
        self, folder: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        del threads, adapter
        try:
            import mlx.core as mx
            from mlx_lm.models.cache import can_trim_prompt_cache, make_prompt_cache
            from mlx_lm.models.cache import trim_prompt_cache as trim
            from mlx_lm.utils import load_model
        except ImportError:
            raise InputError(
                "running MLX artifacts needs mlx-lm: pip install 'srl-edge[mlx]'."
            ) from None
        require_sizes(folder)
        self._mx, self._folder, self._context_length = mx, folder, context_length
        try:
            self._model: Any = load_model(folder, trust_remote_code=False)[0]
        except ValueError as error:
            said = str(error).splitlines()[0]
            raise InputError(f"{folder}: mlx-lm does not load it: {said}") from None
        self._new: Any = make_prompt_cache
        self._trim, self._can_trim = trim, can_trim_prompt_cache
        self.switch(None)

    def switch(self, adapter: Path | None) -> None:
        del adapter  # merged, always
        self._cache: Any = None
        self._ids: list[int] = []

    def prefill(self, ids: Sequence[int], reuse: bool = True) -> Logits:
        known = reusable(self._ids, ids) if reuse and self._cache else 0
        if known and self._can_trim(self._cache):
            self._trim(self._cache, len(self._ids) - known)
        else:
            known, self._cache = 0, self._new(self._model)
        self._ids = list(ids)
        return self._forward(self._ids[known:])

    def decode(self, token: int) -> Logits:
        self._ids.append(token)
        return self._forward([token])

    def encode(self, text: str) -> list[int] | None:
        del text  # mlx-lm reads the artifact's tokenizer with transformers
        return None

    def stop_ids(self) -> list[int]:
        return stop_ids(self._folder)

    def _forward(self, ids: Sequence[int]) -> Logits:
        require_room(len(self._ids), self._context_length)
        out = self._model(self._mx.array([list(ids)]), cache=self._cache)[0, -1]
        return np.array(out.astype(self._mx.float32))
