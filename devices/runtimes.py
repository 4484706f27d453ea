"""How a model runs on this computer: one class a runtime, all with the same calls.

`prefill(ids)` reads a prompt and `decode(token)` goes on with it; both return the logits [V] that
follow. `encode(text)` is the runtime's own tokenizer, `stop_ids()` where it ends a reply.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from srl_edge.artifact import Artifact
from srl_edge.errors import InputError
from srl_edge.models import stop_ids
from srl_edge.prompts import shared_length

Logits = np.ndarray[Any, np.dtype[np.float32]]


class Runtime(Protocol):
    """A loaded model that decodes one sequence at a time."""

    def prefill(self, ids: Sequence[int], reuse: bool = True) -> Logits:
        """Logits after a prompt; what it shares with the last sequence is not computed again."""

    def decode(self, token: int) -> Logits:
        """Logits after one more token."""

    def encode(self, text: str) -> list[int] | None:
        """Token ids of a rendered chat by the runtime's own tokenizer, if it has one."""

    def stop_ids(self) -> list[int]:
        """Token ids at which the runtime itself ends a reply."""


def open_runtime(artifact: Artifact, threads: int = 0) -> "OnnxRuntime | ExecuTorchRuntime":
    """Load an artifact; raises InputError where its runtime is not installed.

    `switch(adapter)` lets it go on with another adapter file, or with none (of `Artifact`).
    """
    context_length = artifact.manifest["context_length"]
    kind = OnnxRuntime if artifact.format == "onnx" else ExecuTorchRuntime
    return kind(artifact.path, context_length, threads, artifact.adapter)


def greedy(
    runtime: Runtime, ids: Sequence[int], max_new_tokens: int, stops: Sequence[int]
) -> list[int]:
    """The most likely completion, token by token, with the stop token that ended it, if any."""
    completion: list[int] = []
    logits = runtime.prefill(ids)
    while len(completion) < max_new_tokens:
        completion.append(int(logits.argmax()))
        if completion[-1] in stops or len(completion) == max_new_tokens:
            break
        logits = runtime.decode(completion[-1])
    return completion


class TorchRuntime:
    """A model folder on PyTorch in fp32, with a PEFT adapter beside it if one is given."""

    def __init__(self, folder: Path, threads: int = 0, adapter: Path | None = None) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        if threads:
            torch.set_num_threads(threads)
        self._torch, self._folder = torch, folder
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if adapter is not None:
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, adapter)
        self.model.eval()
        self._cache: Any = None

    def prefill(self, ids: Sequence[int], reuse: bool = True) -> Logits:
        del reuse  # transformers' caches of sliding-window layers cannot be cut back
        from transformers import DynamicCache

        self._cache = DynamicCache(config=self.model.config)
        return self._forward(ids)

    def decode(self, token: int) -> Logits:
        return self._forward([token])

    def encode(self, text: str) -> list[int] | None:
        del text
        return None

    def stop_ids(self) -> list[int]:
        return stop_ids(self._folder)

    def score(self, prompt: Sequence[int], reply: Sequence[int]) -> Logits:
        """Logits [len(reply), V] before each token of a given reply, in one pass."""
        ids = self._torch.tensor([[*prompt, *reply[:-1]]])
        with self._torch.inference_mode():
            out = self.model(input_ids=ids, use_cache=False, logits_to_keep=len(reply))
        logits: Logits = out.logits[0].float().numpy()
        return logits

    def greedy_batch(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stops: Sequence[int]
    ) -> list[list[int]]:
        """What `greedy` gives for each prompt, all of them at once."""
        width = max(map(len, prompts))
        ids = [[stops[0]] * (width - len(p)) + list(p) for p in prompts]
        mask = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
        out = self.model.generate(
            self._torch.tensor(ids), attention_mask=self._torch.tensor(mask), do_sample=False,
            max_new_tokens=max_new_tokens, eos_token_id=list(stops), pad_token_id=stops[0],
        )  # fmt: skip
        return [_until_stop(row[width:].tolist(), stops) for row in out]

    def _forward(self, ids: Sequence[int]) -> Logits:
        with self._torch.inference_mode():
            out = self.model(
                input_ids=self._torch.tensor([list(ids)]),
                past_key_values=self._cache,
                logits_to_keep=1,
            )
        logits: Logits = out.logits[0, -1].float().numpy()
        return logits


class OnnxRuntime:
    """An onnxruntime-genai folder on the CPU."""

    def __init__(
        self, folder: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        try:
            import onnxruntime_genai as genai
        except ImportError:
            raise InputError(
                "running ONNX artifacts needs onnxruntime-genai: pip install 'srl-edge[onnx]'."
            ) from None
        config = genai.Config(str(folder))
        if threads:
            session = {"session_options": {"intra_op_num_threads": threads}}
            config.overlay(json.dumps({"model": {"decoder": session}}))
        self._model = genai.Model(config)
        self._tokenizer = genai.Tokenizer(self._model)
        self._folder = folder
        parameters: Any = genai.GeneratorParams(self._model)
        parameters.set_search_options(max_length=context_length, do_sample=False)
        self._new: Any = lambda: genai.Generator(self._model, parameters)
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
        known = _reusable(self._ids, ids) if reuse else 0
        if not known or not self._rewound(known):
            known = 0
            self._generator = self._new()
            if self._active:
                self._generator.set_active_adapter(self._adapters, self._active)
        self._ids = list(ids)
        self._generator.append_tokens(self._ids[known:])
        return self._logits()

    def decode(self, token: int) -> Logits:
        self._ids.append(token)
        self._generator.append_tokens([token])
        return self._logits()

    def encode(self, text: str) -> list[int] | None:
        return list(map(int, self._tokenizer.encode(text)))

    def stop_ids(self) -> list[int]:
        found = json.loads((self._folder / "genai_config.json").read_text())["model"][
            "eos_token_id"
        ]
        return [found] if isinstance(found, int) else list(found)

    def _rewound(self, length: int) -> bool:
        try:
            self._generator.rewind_to(length)
        except RuntimeError:  # a sliding-window cache no longer holds that position
            return False
        return True

    def _logits(self) -> Logits:
        logits: Logits = self._generator.get_logits()[0, -1]
        return logits


class ExecuTorchRuntime:
    """A `.pte` program, driven through ExecuTorch's Python bindings.

    XNNPACK and the attention kernel share one thread pool a process: the last program sets it.
    """

    def __init__(
        self, folder: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        try:
            # Both imports register kernels by being imported.
            import executorch.extension.llm.custom_ops.custom_ops
            import executorch.kernels.quantized  # noqa: F401
            from executorch.extension.pybindings import portable_lib
            from pytorch_tokenizers import CppHFTokenizer
        except ImportError:
            raise InputError(
                "running .pte artifacts needs executorch: pip install 'srl-edge[executorch]'."
            ) from None
        import torch

        if threads:
            portable_lib._unsafe_reset_threadpool(threads)
        self._tensor = torch.tensor
        self._tokenizer: Any = CppHFTokenizer()
        self._tokenizer.load(str(folder / "tokenizer.json"))
        self._load: Any = portable_lib._load_for_executorch
        self._file, self._context_length = str(folder / "model.pte"), context_length
        self.switch(adapter)

    def switch(self, adapter: Path | None) -> None:
        self._program = self._load(self._file, adapter and str(adapter))
        self._ids: list[int] = []

    def prefill(self, ids: Sequence[int], reuse: bool = True) -> Logits:
        known = _reusable(self._ids, ids) if reuse else 0
        self._ids = list(ids)
        return self._forward(self._ids[known:], known)

    def decode(self, token: int) -> Logits:
        self._ids.append(token)
        return self._forward([token], len(self._ids) - 1)

    def encode(self, text: str) -> list[int] | None:
        return list(map(int, self._tokenizer.encode(text, bos=0, eos=0)))

    def stop_ids(self) -> list[int]:
        return list(map(int, self._program.run_method("get_eos_ids", ())))

    def _forward(self, ids: list[int], position: int) -> Logits:
        if position + len(ids) > self._context_length:
            raise InputError(
                f"{position + len(ids)} tokens do not fit the artifact's context of "
                f"{self._context_length}; export it with a larger export.context_length."
            )
        inputs = (self._tensor([ids]), self._tensor([position]))
        logits: Logits = self._program.forward(inputs)[0][0].numpy().copy()
        return logits


def _until_stop(ids: list[int], stops: Sequence[int]) -> list[int]:
    return next((ids[: i + 1] for i, token in enumerate(ids) if token in stops), ids)


def _reusable(old: Sequence[int], new: Sequence[int]) -> int:
    """Tokens at the start of `new` whose keys and values are still those of `old`."""
    return min(shared_length(old, new), len(new) - 1)
