"""A GGUF file with its weights expanded, on PyTorch: what it holds, not how llama.cpp computes."""

from pathlib import Path
from typing import Any

from srl_edge.artifact import GGUF
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.models import loading

# Tokens that llama.cpp ends a reply at by their text, whether the file names them or not.
_ENDS = {"<|im_end|>", "<|endoftext|>", "<end_of_turn>", "<|eot_id|>", "<|end_of_text|>", "</s>"}


class GgufRuntime(TorchRuntime):
    """The weights and the tokenizer of a GGUF file, read by transformers."""

    def __init__(
        self, folder: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        del context_length, adapter
        super().__init__(folder, threads, gguf=GGUF)
        from gguf import GGUFReader

        self._tokenizer: Any = loading.tokenizer(folder, gguf_file=GGUF)
        fields = GGUFReader(folder / GGUF).fields
        self._end = int(fields["tokenizer.ggml.eos_token_id"].contents())

    def switch(self, adapter: Path | None) -> None:
        del adapter  # merged, always

    def encode(self, text: str) -> list[int] | None:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def stop_ids(self) -> list[int]:
        vocabulary = self._tokenizer.get_vocab()
        ends = {vocabulary[text] for text in _ENDS if text in vocabulary}
        # It ends replies at more of them; that matters only where training did not.
        return sorted(ends & set(super().stop_ids()) | {self._end})
