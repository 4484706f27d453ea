"""A model folder on PyTorch: what everything else is compared with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.devices.runtimes.contract import Choose, Logits
from srl_edge.devices.runtimes.rows import BATCH, complete
from srl_edge.devices.runtimes.torch_rows import TorchRows, takes_rows
from srl_edge.models import loading
from srl_edge.models.tokenizer import stop_ids


class TorchRuntime:
    """A model folder on PyTorch in fp32, with a PEFT adapter beside it if one is given.

    gguf: the file to read weights from, in place of the folder's safetensors.
    """

    def __init__(
        self, folder: Path, threads: int = 0, adapter: Path | None = None, gguf: Path | None = None
    ) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self._torch, self._folder = torch, folder
        if gguf is None:
            self.model: Any = loading.network(folder, dtype=torch.float32)
        else:
            self.model = loading.of_gguf(gguf)
        if adapter is not None:
            from srl_edge.models.adapted import adapted

            self.model = adapted(self.model, folder, adapter)
        self.model.eval()
        self._rows = TorchRows(self.model)
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

    def takes_several(self) -> bool:
        return takes_rows(self.model)

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        stops: Sequence[int],
        choices: Sequence[Choose],
    ) -> list[list[int]]:
        most = BATCH if self.takes_several() else 1
        return complete(self._rows, most, prompts, limits, stops, choices)

    def _forward(self, ids: Sequence[int]) -> Logits:
        with self._torch.inference_mode():
            out = self.model(
                input_ids=self._torch.tensor([list(ids)]),
                past_key_values=self._cache,
                logits_to_keep=1,
            )
        logits: Logits = out.logits[0, -1].float().numpy()
        return logits
