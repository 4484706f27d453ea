"""A GGUF file with its weights expanded, on PyTorch: what it holds, not how llama.cpp computes."""

from functools import cached_property
from pathlib import Path
from typing import Any

from srl_edge.artifact import GGUF
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.models import loading

# Tokens that llama.cpp ends a reply at by their text, whether the file names them or not.
_ENDS = {"<|im_end|>", "<|endoftext|>", "<end_of_turn>", "<|eot_id|>", "<|end_of_text|>", "</s>"}


class GgufRuntime(TorchRuntime):
    """The weights and the tokenizer of a GGUF file, read by transformers.

    It is `model.gguf` of a folder, or a file that others made.
    """

    def __init__(
        self, path: Path, context_length: int, threads: int = 0, adapter: Path | None = None
    ) -> None:
        del context_length, adapter
        self._ours = (path / "tokenizer.json").is_file()
        self._file = path / GGUF if path.is_dir() else path
        super().__init__(self._file.parent, threads, gguf=self._file)

    @cached_property
    def _tokenizer(self) -> Any:
        if self._ours:  # as the model's makers have it; the file's own is a conversion of it
            return loading.tokenizer(self._folder)
        return loading.tokenizer_of_gguf(self._file)

    def switch(self, adapter: Path | None) -> None:
        del adapter  # merged, always

    def encode(self, text: str) -> list[int] | None:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def stop_ids(self) -> list[int]:
        from gguf import GGUFReader

        vocabulary = self._tokenizer.get_vocab()
        ends = {vocabulary[text] for text in _ENDS if text in vocabulary}
        # It ends replies at more of them; that matters only where training did not.
        fields = GGUFReader(self._file).fields
        end = int(fields["tokenizer.ggml.eos_token_id"].contents())
        return sorted(ends & set(super().stop_ids()) | {end})
