"""Models, settings and tokenizers from a folder, by transformers: safetensors, and never code."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srl_edge.errors import InputError, first_line
from srl_edge.files import read_json, read_json_if_there, require_contained
from srl_edge.models import head
from srl_edge.models.chat_template import ADDITIONAL
from srl_edge.models.tokenizer_file import heard, require_bounded

# Building so many would take all time or memory before the weights are seen not to fit.
_MOST = {
    "num_hidden_layers": 1024,
    "num_attention_heads": 1 << 16,
    "num_key_value_heads": 1 << 16,
    "hidden_size": 1 << 20,
    "intermediate_size": 1 << 24,
    "vocab_size": 1 << 24,
    "max_position_embeddings": 1 << 24,
    "head_dim": 1 << 16,
    "num_labels": 1 << 24,
    "num_experts": 1 << 14,
    "num_local_experts": 1 << 14,
    "n_routed_experts": 1 << 14,
}
# How others name the same: settings of older families, and of GGUF after the architecture's name.
_OLDER = {"n_layer": "num_hidden_layers", "n_head": "num_attention_heads", "n_embd": "hidden_size"}
_GGUF = {
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
}
_PER_BYTE = 16  # weights; of 2 bits each, a byte has 4
_ADAPTER = "adapter_config.json"
_ENDS = ("bos_token_id", "eos_token_id")
# Weights that change what a decoder computes; buffers and heads of other tasks do not.
_DECODERS = re.compile(
    r"^(?:model\.)?(?:layers\.\d+\.(?!.*(?:rotary_emb|[kv]_scale$))|norm\.|embed_tokens\.|lm_head\.)"
)


def limit_threads(count: int) -> None:
    """Let torch compute with that many CPU threads; 0 leaves it as it is."""
    import torch

    if count:
        torch.set_num_threads(count)


def network(folder: Path, partly: bool = False, **options: Any) -> Any:
    """A causal language model, all of whose weights are the folder's.

    partly: the given settings ask for less than the folder holds. Raises InputError where it cannot
    be built without its own code, or its files lack weights or have others.
    """
    from transformers import AutoModelForCausalLM

    if (folder / _ADAPTER).is_file():  # transformers would load it into the weights
        raise InputError(
            f"{folder}: has {_ADAPTER} beside the weights of a model; remove it where the adapter "
            "is merged into them, else move the adapter to a folder of its own and give that as "
            "--adapter."
        )
    require_sizes(folder)
    _require_weights(folder)
    options |= {"use_safetensors": True, "ignore_mismatched_sizes": True}
    said = read_json_if_there(folder / "config.json", "ModelConfig") or {}
    config = options.setdefault("config", settings(folder))
    if set(_attentions(said)) - {None, "eager", "sdpa"}:
        config._attn_implementation = "sdpa"
    model, found = _loaded(AutoModelForCausalLM, folder, output_loading_info=True, **options)
    _require_all(folder, found, partly)
    return model


def of_gguf(file: Path) -> Any:
    """A causal language model in fp32 from a GGUF file alone; raises as `network` does."""
    import torch
    from transformers import AutoModelForCausalLM

    options = {"dtype": torch.float32, "output_loading_info": True}
    model, found = _of_gguf(AutoModelForCausalLM, file, **options)
    _require_all(file, found, partly=False)
    return model


def tokenizer_of_gguf(file: Path) -> Any:
    """The tokenizer that a GGUF file holds; raises as `network` does."""
    from transformers import AutoTokenizer

    return _of_gguf(AutoTokenizer, file)


def settings(folder: Path) -> Any:
    """transformers' own class of a model's config.json; raises InputError as `network` does.

    Where the files hold a head of its own, it is not tied. Tokens that begin and end a text are
    those that the file names: what a class takes for granted is of another vocabulary.
    """
    from transformers import AutoConfig

    config = _loaded(AutoConfig, folder)
    text = config.get_text_config()
    said = read_json_if_there(folder / "config.json", "ModelConfig") or {}
    for each in (config, text):
        if each.tie_word_embeddings and head.has_own(folder):
            each.tie_word_embeddings = False
        for name in _ENDS:
            if name not in said and name not in (said.get("text_config") or {}):
                setattr(each, name, None)
    return config


def require_head_as_told(folder: Path) -> None:
    """Raise InputError where a folder's config.json says tied, and its files hold two weights.

    For tools that read the folder themselves and go by what it says.
    """
    from transformers import AutoConfig

    if _loaded(AutoConfig, folder).tie_word_embeddings and head.has_own(folder):
        raise InputError(
            f"{folder}: has an lm_head.weight that is not its embedding, and its config.json says "
            "that they are one; write tie_word_embeddings = false there."
        )


def tokenizer(folder: Path) -> Any:
    """transformers' tokenizer of a folder, as tokenizer.json has it; raises as `network` does."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    found = _loaded(AutoTokenizer, folder)
    file = folder / "tokenizer.json"
    if type(found) is PreTrainedTokenizerFast or not file.is_file():
        return found
    if _as_in_file(found, file):
        return found
    # A family's class makes its own by tokenizer_config.json; every device reads the file.
    kept = {name: text for name, text in found.special_tokens_map.items() if isinstance(text, str)}
    named = list(found.model_input_names)
    return _loaded(PreTrainedTokenizerFast, folder, model_input_names=named, **kept)


def _as_in_file(tokenizer: Any, file: Path) -> bool:
    """Whether a tokenizer cuts and joins text as a tokenizer.json says."""
    from tokenizers import Tokenizer

    try:
        own, there = tokenizer.backend_tokenizer, Tokenizer.from_file(str(file))
    except Exception:  # a class in Python has none; a damaged file is told of where it is loaded
        return False
    parts = ("normalizer", "pre_tokenizer", "decoder")
    settings = ("ignore_merges", "byte_fallback", "fuse_unk", "unk_token", "dropout")
    return all(repr(getattr(own, part)) == repr(getattr(there, part)) for part in parts) and all(
        getattr(own.model, name, None) == getattr(there.model, name, None) for name in settings
    )


def require_inside(folder: Path) -> None:
    """Raise InputError where a folder's files are links out of it, or name files outside of it."""
    require_contained(folder, [*folder.glob("[!.]*"), *(folder / ADDITIONAL).glob("*")])
    named: list[Any] = []
    for index in folder.glob("*.index.json"):
        named += (read_json(index, "Index")).get("weight_map", {}).values()
    settings = read_json_if_there(folder / "tokenizer_config.json", "Tokenizer") or {}
    named += settings.get("fast_tokenizer_files") or []
    for name in named:
        if Path(str(name)).name != str(name) or "\\" in str(name):
            raise InputError(f"{folder}: names a file outside of the model's folder ({name}).")


def _require_all(where: Path, found: Mapping[str, Any], partly: bool) -> None:
    """Raise InputError where weights would be random, or some of a decoder's would be left out."""
    lacks, others = sorted(found["missing_keys"]), sorted(found["unexpected_keys"])
    if lacks:
        raise InputError(f"{where}: lacks {_some(lacks)}{_hint(lacks, others)}.")
    if partly:
        return
    if misfits := sorted(found["mismatched_keys"]):
        name, there, asked = misfits[0]
        raise InputError(
            f"{where}: has {name} as {_shape(there)}, where its config.json says {_shape(asked)}; "
            "give the config.json that belongs to these weights."
        )
    if over := [name for name in others if _DECODERS.search(name)]:
        raise InputError(
            f"{where}: has {_some(over)}, which the model of its config.json leaves out; give the "
            "config.json that belongs to these weights."
        )


def _some(names: list[str]) -> str:
    return f"the weight {names[0]}" if len(names) == 1 else f"{len(names)} weights, as {names[0]}"


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _hint(lacks: list[str], others: list[str]) -> str:
    """How to mend a folder that lacks weights, where what else it has tells."""
    for name in lacks:
        ending = next((other for other in others if other.endswith(f".{name}")), None)
        if ending:
            before = ending.removesuffix(name)
            return (
                f", which it names {before}…; save the model without what is wrapped around it, "
                f"or take {before} off the names"
            )
    if lacks == ["lm_head.weight"]:
        return (
            "; where its head is its embedding, config.json must say tie_word_embeddings = true, "
            "and a classifier has none"
        )
    return "; save the whole model again, or give the config.json that belongs to its files"


def _attentions(config: Mapping[str, Any]) -> Iterator[str | None]:
    """What a config.json calls its attention by; a name may be that of code on the hub."""
    for key, value in config.items():
        if key.endswith("attn_implementation"):
            yield value if value is None else str(value)
        elif isinstance(value, dict):
            yield from _attentions(value)


def require_sizes(folder: Path) -> None:
    """Raise InputError where config.json tells of more than any model has, or of nothing."""
    config = read_json_if_there(folder / "config.json", "ModelConfig") or {}
    of_text = config.get("text_config")
    for said in (config, of_text if isinstance(of_text, dict) else {}):
        for name in (*_MOST, *_OLDER):
            _require_size(folder / "config.json", name, said.get(name), _OLDER.get(name, name))


def _require_size(file: Path, name: str, value: Any, kind: str) -> None:
    if isinstance(value, int | float) and not 1 <= value <= _MOST[kind]:
        raise InputError(
            f"{file}: {name} is {value}, and no model has that (1 to {_MOST[kind]}); set it as "
            "the model's makers have it."
        )


def _require_sizes_of_gguf(file: Path) -> None:
    """Raise InputError where a GGUF file tells of more than any model or its own bytes can have."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    architecture = fields["general.architecture"].contents()
    told = {}
    for name, kind in _GGUF.items():
        field = fields.get(f"{architecture}.{name}")
        value = field.contents() if field else None
        if isinstance(value, list):  # one a layer, some of which may have none
            value = max(value, default=None)
        _require_size(file, f"{architecture}.{name}", value, kind)
        told[kind] = value
    _require_room(told, file.stat().st_size, file, "take the file of the model's makers")


def _require_weights(folder: Path) -> None:
    """Raise InputError where config.json tells of far more than the folder's weights can hold.

    What they lack would be made before it is seen that they lack it.
    """
    config = read_json_if_there(folder / "config.json", "ModelConfig") or {}
    of_text = config.get("text_config")
    there = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    _require_room(
        of_text if isinstance(of_text, dict) else config,
        there,
        folder / "config.json",
        "give the config.json that belongs to them",
    )


def _require_room(said: Mapping[str, Any], there: int, where: Path, remedy: str) -> None:
    def told(name: str) -> int:
        value = said.get(name)
        return int(value) if isinstance(value, int | float) else 1

    hidden, heads = told("hidden_size"), told("num_attention_heads") * told("head_dim")
    widest = max(hidden, told("intermediate_size"), heads)
    weights = hidden * (told("vocab_size") + told("num_hidden_layers") * widest)
    if there and weights > _PER_BYTE * there:
        raise InputError(
            f"{where}: tells of {weights:.2g} weights and more, and its files have {there:.2g} "
            f"bytes; {remedy}."
        )


def _loaded(kind: Any, folder: Path, **options: Any) -> Any:
    require_inside(folder)
    require_sizes(folder)
    require_bounded(folder)
    with _told(folder):
        return kind.from_pretrained(folder, trust_remote_code=False, **options)


def _of_gguf(kind: Any, file: Path, **options: Any) -> Any:
    # A folder of nothing: transformers takes settings, templates, tokenizers and adapters from the
    # one that it is given, and what lies beside a GGUF file is anybody's.
    with _told(file), tempfile.TemporaryDirectory() as empty:
        _require_sizes_of_gguf(file)
        options |= {"gguf_file": str(file.resolve()), "local_files_only": True}
        return kind.from_pretrained(empty, trust_remote_code=False, **options)


@contextmanager
def _told(where: Path) -> Iterator[None]:
    """Raise InputError for whatever a damaged file makes of a library."""
    try:
        with heard(where):
            yield
    except InputError:
        raise
    except Exception as error:
        said = first_line(error)
        if "trust_remote_code" in str(error) or "execute the" in str(error):
            said = "it needs Python code of its own to be loaded, which srl-edge never runs"
        raise InputError(f"{where}: cannot be loaded: {said}.") from None
