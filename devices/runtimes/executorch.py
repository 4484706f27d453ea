"""A `.pte` program, driven through ExecuTorch's Python bindings."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srl_edge.devices.runtimes.contract import Logits, require_room, reusable
from srl_edge.errors import InputError
from srl_edge.terminal.native import without_native_noise


class ExecuTorchRuntime:
    """A `.pte` program, driven through ExecuTorch's Python bindings.

    It is `model.pte` of a folder, or a file that others made: with `forward` of token ids and the
    position of the first, or of each, to the logits of the last, or of each (see `pte_facts`).
    XNNPACK and the attention kernel share one thread pool a process: the last program sets it.
    """

    def __init__(
        self, path: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        try:
            with without_native_noise(), _one_openmp_thread():
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

        with without_native_noise():  # its first use looks for a phone's processor
            if threads:
                portable_lib._unsafe_reset_threadpool(threads)
            else:
                portable_lib._threadpool_get_thread_count()
        self._tensor = torch.tensor
        self._tokenizer: Any = CppHFTokenizer()
        if path.is_dir():
            self._tokenizer.load(str(path / "tokenizer.json"))
        self._load: Any = portable_lib._load_for_executorch
        self._file = str(path / "model.pte" if path.is_dir() else path)
        self._context_length = context_length
        self.switch(adapter)
        forward = self._program.method_meta("forward")
        # What dynamic shapes may be at most; of fixed ones, what they are.
        self._most = int(forward.input_tensor_meta(0).sizes()[1])
        self._each = int(forward.input_tensor_meta(1).sizes()[0]) > 1

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
        for at in range(0, len(ids), self._most):
            part = ids[at : at + self._most]
            first = position + at
            places = range(first, first + len(part)) if self._each else [first]
            inputs = (self._tensor([part]), self._tensor(list(places)))
            out = self._program.forward(inputs)[0]
        logits: Logits = out.reshape(-1, out.shape[-1])[-1].float().numpy().copy()
        return logits


@contextmanager
def _one_openmp_thread() -> Iterator[None]:
    """Import torch with one thread of its own, unless it is there already.

    The attention kernel multiplies by torch's MKL in each thread of its pool. Threads that MKL adds
    there take turns with the pool's: with two of each a token took two to four times as long
    (docs/lab/export.md).
    """
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"  # read once, by the library as it is loaded
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
