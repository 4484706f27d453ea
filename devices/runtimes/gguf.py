"""A GGUF file with its weights expanded, on PyTorch: what it holds, not how llama.cpp computes."""

from functools import cached_property
from pathlib import Path
from typing import Any

from srl_edge.artifact import GGUF
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.models import loading

# Tokens that llama.cpp ends a reply at by their text, whether the file names them or not; the last
# ones are of filling in between texts. Source: llama.cpp, src/llama-vocab.cpp, special_eog_ids.
_ENDS = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>", "[e~[",
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>",
    "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
}  # fmt: skip
# Of these, what is no end in a vocabulary that has certain others.
_UNLESS = {
    "<|end|>": ({"<|return|>", "<|call|>"}, {"<|call|>", "<|flush|>"}, {"<|calls|>", "<|flush|>"}),
    "</s>": ({"<|tool_response>"},),
}
_NAMED = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")  # ends that a file can name


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

        vocabulary, fields = self._tokenizer.get_vocab(), GGUFReader(self._file).fields
        there = _ENDS & vocabulary.keys()
        none = {end for end, others in _UNLESS.items() if any(each <= there for each in others)}
        keys = {name: f"tokenizer.ggml.{name}_token_id" for name in _NAMED}
        named = {name: int(fields[key].contents()) for name, key in keys.items() if key in fields}
        ends = {vocabulary[text] for text in there - none}.union(named.values())
        # It ends replies at more of them; that matters only where training did not.
        own = {named["eos"]} if "eos" in named else set()
        return sorted(ends & set(super().stop_ids()) | own)
