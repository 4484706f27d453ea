"""An onnxruntime-genai folder on the CPU."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.devices.runtimes.contract import Choose, Damaged, Logits, require_room, reusable
from srl_edge.devices.runtimes.genai_config import FILE, read_config
from srl_edge.devices.runtimes.onnx_rows import OnnxRows, takes_rows
from srl_edge.devices.runtimes.rows import BATCH, complete
from srl_edge.errors import InputError, out_of_memory

_FATAL = 4  # what is no more than an error is raised
_ROOM = 8192  # tokens that a context is opened for at first: all of it is allocated at once


class OnnxRuntime:
    """An onnxruntime-genai folder on the CPU; several prompts at once by ONNX Runtime alone."""

    def __init__(
        self, folder: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        try:
            import onnxruntime_genai as genai
        except ImportError as error:
            raise InputError(
                "running ONNX artifacts needs onnxruntime-genai: pip install 'srl-edge[onnx]' "
                f"({error})."
            ) from None
        self._config = read_config(folder)
        known = self._config["model"].get("context_length")
        if isinstance(known, int) and context_length > known:
            raise InputError(
                f"{folder}: is to be run with a context of {context_length} tokens, and its {FILE} "
                f"has {known}; export it again, or name a shorter one."
            )
        config = genai.Config(str(folder))
        options = {"log_severity_level": _FATAL}
        if threads:
            options["intra_op_num_threads"] = threads
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model, self._context_length = genai.Model(config), context_length
        self._folder, self._threads = folder, threads
        self._rows: OnnxRows | None = None
        self._several = False if adapter else None
        self._tokenizer = genai.Tokenizer(self._model)
        self._genai: Any = genai
        self._room = 0
        self._adapters = genai.Adapters(self._model)
        self._loaded: set[str] = set()
        self.switch(adapter)

    def switch(self, adapter: Path | None) -> None:
        self._active = adapter and str(adapter)
        if self._active and self._active not in self._loaded:
            self._adapters.load(self._active, self._active)
            self._loaded.add(self._active)
        self._generator: Any = None
        self._ids: list[int] = []

    def prefill(self, ids: Sequence[int], reuse: bool = True) -> Logits:
        require_room(len(ids), self._context_length)
        known = reusable(self._ids, ids) if reuse else 0
        if not known or len(ids) > self._room or not self._rewound(known):
            known = 0
            self._open(len(ids))
        self._ids = list(ids)
        self._append(self._ids[known:])
        return self._logits()

    def decode(self, token: int) -> Logits:
        require_room(len(self._ids) + 1, self._context_length)
        self._ids.append(token)
        if len(self._ids) > self._room:
            self._open(len(self._ids))
            self._append(self._ids)
        else:
            self._append([token])
        return self._logits()

    def takes_several(self) -> bool:
        if self._several is None:  # looking takes time and memory that are not the runtime's
            self._several = takes_rows(self._folder, self._config["model"]["decoder"])
        return self._several

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        stops: Sequence[int],
        choices: Sequence[Choose],
    ) -> list[list[int]]:
        if self._rows is None:  # the weights a second time, so not before they are needed
            decoder = self._config["model"]["decoder"]
            self._rows = OnnxRows(self._folder, decoder, self._context_length, self._threads)
        return complete(self._rows, BATCH, prompts, limits, stops, choices)

    def encode(self, text: str) -> list[int] | None:
        return list(map(int, self._tokenizer.encode(text)))

    def stop_ids(self) -> list[int]:
        found = self._config["model"]["eos_token_id"]
        return [found] if isinstance(found, int) else list(found)

    def _open(self, length: int) -> None:
        """Begin a sequence with room for `length` tokens, and mostly for as many again."""
        self._generator = None  # before the next takes its memory
        self._room = min(self._context_length, max(_ROOM, 2 * length))
        parameters = self._genai.GeneratorParams(self._model)
        parameters.set_search_options(max_length=self._room, do_sample=False)
        self._generator = self._genai.Generator(self._model, parameters)
        if self._active:
            self._generator.set_active_adapter(self._adapters, self._active)

    def _append(self, ids: list[int]) -> None:
        try:
            self._generator.append_tokens(ids)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            raise Damaged(self._folder, "ONNX Runtime", "run", error) from None

    def _rewound(self, length: int) -> bool:
        try:
            self._generator.rewind_to(length)
        except RuntimeError:  # a sliding-window cache no longer holds that position
            return False
        return True

    def _logits(self) -> Logits:
        logits: Logits = self._generator.get_logits()[0, -1]
        return logits
