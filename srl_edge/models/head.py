"""Whether a model's head is its embedding: what its files hold, whatever its config.json says."""

import contextlib
from pathlib import Path
from typing import Any

_HEAD, _EMBEDDING = "lm_head.weight", "embed_tokens.weight"


def has_own(folder: Path) -> bool:
    """Whether the safetensors of a folder hold a head that is not the embedding.

    Merging an adapter of the head leaves one beside tie_word_embeddings = true. transformers takes
    it (5.23), and mlx-lm and onnxruntime-genai's builder take the embedding.
    """
    head, embedding = _found(folder, _HEAD), _found(folder, _EMBEDDING)
    if head is None or embedding is None:
        return False
    return head.shape != embedding.shape or not bool((head == embedding).all())


def _found(folder: Path, ending: str) -> Any:
    """The tensor whose name ends so; None without, or where a file is damaged."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with contextlib.suppress(SafetensorError), safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - a file of tensors is no mapping
                if f".{name}".endswith(f".{ending}"):
                    return file.get_tensor(name)
    return None
