"""A model with an adapter beside its weights, by PEFT, whatever tool wrote the adapter's names."""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import regex
import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from srl_edge.errors import InputError
from srl_edge.files import read_json
from srl_edge.models.adapter_folder import (
    MATRIX,
    OF_ANOTHER_BASE,
    PREFIX,
    of_another_sense,
    require_safetensors,
)

FILE, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
_END = re.compile(r"(?:^|\.)(?:embed_tokens|lm_head)\.")
# Settings by which an adapter is more than a sum, and what they do.
_MORE = {
    "layer_replication": "repeats layers of its base",
    "alora_invocation_tokens": "lets it act only after certain tokens",
}
# A whole embedding or head, also where matrices or single tokens are trained beside it.
_WHOLE = re.compile(r"\.(?:embed_tokens|lm_head)(?:\.(?!lora_)\w+)*\.weight$")


def adapted(model: Any, base: Path, adapter: Path) -> Any:
    """A model in memory, which `base` holds, with a PEFT folder beside its weights.

    The model gets the embeddings that the adapter needs. Raises InputError where the adapter is
    pickled, has weights that find no place in the model or lacks some, or is scaled by 0.
    """
    require_safetensors(adapter)
    if (kind := read_json(adapter / SETTINGS, "Tuned").get("peft_type") or "LORA") != "LORA":
        raise InputError(f"{adapter}: is of the kind {kind}; only LORA is merged.")
    settings = read_json(adapter / SETTINGS, "Adapter")
    _require_mergeable(adapter, settings)
    _require_quick(adapter, settings, model)
    _require_ranks(adapter, settings, model)
    if (begun := str(settings.get("init_lora_weights"))).startswith(OF_ANOTHER_BASE):
        raise InputError(
            f"{adapter}: was begun as {begun!r}, which changed the base, and PEFT does not do it "
            "again alike; convert it where it was trained "
            "(path_initial_model_for_weight_conversion), or merge it there."
        )
    try:
        state = load_file(adapter / FILE)
        whole = settings.get("modules_to_save") or ()
        _require_complete(adapter, [x for x in whole if not any(f".{x}." in key for key in state)])
        _fit_vocabulary(model, state, settings, adapter)
        with tempfile.TemporaryDirectory() as scratch:
            tuned = PeftModel.from_pretrained(model, _as_peft(adapter, state, Path(scratch)))
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise _does_not_fit(adapter, base, settings, _said(error)) from None
    placed = get_peft_model_state_dict(tuned, save_embedding_layers=False).keys()
    # What is trained of embedding and head is put there by `_fit_vocabulary`.
    elsewhere = (key for key in state if ".lora_" in key or not _END.search(key))
    lost = sorted(set(map(_name, elsewhere)) - placed)
    if lost:
        why = f"{len(lost)} of its weights have no place there, first {lost[0]}"
        raise _does_not_fit(adapter, base, settings, why)
    there = {_name(key).removesuffix(".weight") for key in state}
    lacks = [key for key in placed if ".lora_" in key and key.removesuffix(".weight") not in there]
    _require_complete(adapter, lacks)
    _require_scaled(adapter, tuned)
    return tuned


def _require_mergeable(adapter: Path, settings: Mapping[str, Any]) -> None:
    """Raise InputError for what an adapter does beside adding to the weights of its base."""
    for name, what in _MORE.items():
        if settings.get(name):
            raise InputError(f"{adapter}: has {name}, which {what}, and cannot be merged.")


def _require_complete(adapter: Path, lacks: Sequence[str]) -> None:
    """Raise InputError for weights of an adapter that its file has not, and PEFT would make up."""
    if lacks:
        raise InputError(
            f"{adapter}: its file lacks {len(lacks)} of the weights that its {SETTINGS} names, "
            f"first {min(lacks)}; save it again (save_pretrained of the PEFT model, given no "
            "state_dict)."
        )


def _require_scaled(adapter: Path, tuned: Any) -> None:
    """Raise InputError where an adapter counts for nothing by its settings."""
    for layer in tuned.modules():
        if isinstance(layer, LoraLayer) and not all(layer.scaling.values()):
            raise InputError(
                f"{adapter}: its lora_alpha is 0, so that it adds nothing; write the alpha that it "
                f"was trained with into {SETTINGS}."
            )


def _said(error: Exception) -> str:
    """What PEFT says of a misfit: of many weights, the first."""
    lines = [line.strip(" .\t") for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.endswith(":")), type(error).__name__)


def _does_not_fit(adapter: Path, base: Path, settings: Mapping[str, Any], why: str) -> InputError:
    return InputError(
        f"{adapter}: does not fit {base} ({why}); it was trained for "
        f"{settings.get('base_model_name_or_path')}."
    )


def _require_quick(adapter: Path, settings: Mapping[str, Any], model: Any) -> None:
    """Raise InputError where a pattern that names an adapter's layers takes for ever to match.

    A group that is repeated can, in PEFT's own reader of patterns, though not in the one here.
    """
    layers = settings.get("layers_pattern") or ()
    given = {
        "target_modules": [settings.get("target_modules")],
        "exclude_modules": [settings.get("exclude_modules")],
        "layers_pattern": [layers] if isinstance(layers, str) else layers,
        "rank_pattern": settings.get("rank_pattern") or (),
        "alpha_pattern": settings.get("alpha_pattern") or (),
    }
    names = [name for name, _ in model.named_modules()]
    for field, patterns in given.items():
        for pattern in (each for each in patterns if isinstance(each, str)):
            try:
                if regex.search(r"\)[*+{]", pattern):
                    raise TimeoutError
                for name in names:
                    regex.search(pattern, name, timeout=1.0)
            except (TimeoutError, regex.error):
                raise InputError(f"{adapter}: {field} is no usable pattern ({pattern}).") from None


def _require_ranks(adapter: Path, settings: Mapping[str, Any], model: Any) -> None:
    """Raise InputError where a rank is larger than any matrix of the model.

    PEFT makes its matrices before it sees that those of the file do not fit.
    """
    linear = (each for each in model.modules() if isinstance(each, torch.nn.Linear))
    most = max((each.in_features for each in linear), default=0)
    patterns = settings.get("rank_pattern") or {}
    for rank in (settings["r"], *patterns.values()):
        if not isinstance(rank, int) or not 1 <= rank <= most:
            raise InputError(
                f"{adapter}: has the rank {rank!r} in its {SETTINGS}, and the model's matrices "
                f"have up to {most}; write the rank there that it was trained with."
            )


def _fit_vocabulary(
    model: Any, state: Mapping[str, Any], settings: Mapping[str, Any], adapter: Path
) -> None:
    """Give a model as many embeddings as its adapter has, and a head of its own where it must.

    What goes into one of two weights that the base shares would change the other as well. Raises
    InputError where some tokens were trained in both, or where the file lacks one of them.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    whole = {name: value for name, value in state.items() if _WHOLE.search(name)}
    partly = any(".lora_" in name for name in state if _END.search(name))
    saved = any(_END.search(f"{name}.") for name in settings.get("modules_to_save") or ())
    alone = partly or saved
    most = max(map(len, whole.values()), default=rows)
    if most != rows:
        model.resize_token_embeddings(most, mean_resizing=False)
        if len(whole) == 1:  # the other's new rows are the same only where the base shares them
            if saved or not model.config.tie_word_embeddings:
                raise InputError(
                    f"{adapter}: has {most} tokens where its base has {rows}, and its file holds "
                    "one of embedding and head alone; merge it where it was trained "
                    "(merge_and_unload), and give that as the model."
                )
            with torch.no_grad():
                model.get_input_embeddings().weight.copy_(next(iter(whole.values())))
    if model.config.tie_word_embeddings and alone and not settings.get("ensure_weight_tying"):
        if settings.get("trainable_token_indices"):
            raise InputError(
                f"{adapter}: has trainable_token_indices, which change the embedding and the head "
                "that share its weights, and more that changes one of them alone; that cannot be "
                "merged exactly."
            )
        head = model.get_output_embeddings()
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
        model.config.tie_word_embeddings = False


def _as_peft(adapter: Path, state: Mapping[str, Any], scratch: Path) -> Path:
    """The folder with its matrices named as PEFT names them, whatever model they came from.

    Settings that are null go, where PEFT takes none: they mean what it takes without them.
    """
    settings = read_json(adapter / SETTINGS, "Adapter")
    empty = {
        field.name
        for field in fields(LoraConfig)
        if settings.get(field.name, True) is None and field.default is not None
    }
    renamed = any(_name(key) != key for key in state)
    if not renamed and not empty:
        return adapter
    save_file({_name(key): value for key, value in state.items()}, scratch / FILE)
    settings = {name: value for name, value in settings.items() if name not in empty}
    if renamed and isinstance(settings.get("target_modules"), str):  # of that other model
        found = (MATRIX.search(key) for key in state)
        settings["target_modules"] = sorted({each[1].rsplit(".", 1)[1] for each in found if each})
    (scratch / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
    return scratch


def _name(key: str) -> str:
    found = MATRIX.search(key)
    if not found or of_another_sense(key):
        return key.replace(".default.weight", ".weight") if ".lora_" in key else key
    return f"{PREFIX}{found[1]}.lora_{found[2]}.weight"
