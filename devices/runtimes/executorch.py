"""A `.pte` program, driven through ExecuTorch's Python bindings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.devices.runtimes.contract import Logits, require_room, reusable
from srl_edge.errors import InputError


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
        except ImportError as error:
            raise InputError(
                "running .pte artifacts needs executorch: pip install 'srl-edge[executorch]' "
                f"({error})."
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
        known = reusable(self._ids, ids) if reuse else 0
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
        require_room(position + len(ids), self._context_length)
        inputs = (self._tensor([ids]), self._tensor([position]))
        logits: Logits = self._program.forward(inputs)[0][0].numpy().copy()
        return logits
