"""Models, settings and tokenizers from a folder, by transformers: safetensors, and never code."""

from pathlib import Path
from typing import Any

from srl_edge.errors import InputError
from srl_edge.files import read_json, read_json_if_there, require_contained
from srl_edge.models.tokenizer_file import heard, require_bounded

# Building so many would take all time or memory before the weights are seen not to fit.
_MOST = {
    "num_hidden_layers": 1024,
    "num_attention_heads": 1 << 16,
    "hidden_size": 1 << 20,
    "vocab_size": 1 << 24,
}


def limit_threads(count: int) -> None:
    """Let torch compute with that many CPU threads; 0 leaves it as it is."""
    import torch

    if count:
        torch.set_num_threads(count)


def network(folder: Path, **options: Any) -> Any:
    """A causal language model; raises InputError where it cannot be built without its own code."""
    from transformers import AutoModelForCausalLM

    return _loaded(AutoModelForCausalLM, folder, use_safetensors=True, **options)


def of_gguf(folder: Path, file: str) -> Any:
    """A causal language model in fp32 from a GGUF file of a folder."""
    import torch
    from transformers import AutoModelForCausalLM

    return _loaded(AutoModelForCausalLM, folder, gguf_file=file, dtype=torch.float32)


def settings(folder: Path) -> Any:
    """transformers' own class of a model's config.json; raises InputError as `network` does."""
    from transformers import AutoConfig

    return _loaded(AutoConfig, folder)


def tokenizer(folder: Path, **options: Any) -> Any:
    """transformers' tokenizer of a model; raises InputError as `network` does."""
    from transformers import AutoTokenizer

    return _loaded(AutoTokenizer, folder, **options)


def require_inside(folder: Path) -> None:
    """Raise InputError where a folder's files are links out of it, or name files outside of it."""
    require_contained(folder, [*folder.glob("[!.]*"), *folder.glob("additional_chat_templates/*")])
    named: list[Any] = []
    for index in folder.glob("*.index.json"):
        named += (read_json(index, "Index")).get("weight_map", {}).values()
    settings = read_json_if_there(folder / "tokenizer_config.json", "Tokenizer") or {}
    named += settings.get("fast_tokenizer_files") or []
    for name in named:
        if Path(str(name)).name != str(name) or "\\" in str(name):
            raise InputError(f"{folder}: names a file outside of the model's folder ({name}).")


def require_sizes(folder: Path) -> None:
    """Raise InputError where config.json tells of more than any model has, or of nothing."""
    config = read_json_if_there(folder / "config.json", "ModelConfig") or {}
    of_text = config.get("text_config")
    for said in (config, of_text if isinstance(of_text, dict) else {}):
        for name, most in _MOST.items():
            value = said.get(name)
            if isinstance(value, int | float) and not 1 <= value <= most:
                raise InputError(
                    f"{folder / 'config.json'}: {name} is {value}, and no model has that (1 to "
                    f"{most}); set it as the model's makers have it."
                )


def _loaded(kind: Any, folder: Path, **options: Any) -> Any:
    if "gguf_file" not in options:  # whose folder is anybody's
        require_inside(folder)
        require_sizes(folder)
        require_bounded(folder)
    try:
        with heard(folder):
            return kind.from_pretrained(folder, trust_remote_code=False, **options)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes of a library
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "trust_remote_code" in str(error) or "execute the" in str(error):
            said = "it needs Python code of its own to be loaded, which srl-edge never runs"
        raise InputError(f"{folder}: cannot be loaded: {said}.") from None
