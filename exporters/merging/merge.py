"""The adapter added into the model's weights, once, in fp64, and rounded to fp32."""

import errno
import json
import re
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import regex
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError

from srl_edge import owned
from srl_edge.errors import InputError
from srl_edge.files import inside, read_json, read_json_if_there, scratch_folder
from srl_edge.models import loading
from srl_edge.models.adapter_folder import require_safetensors, tensors
from srl_edge.models.tokenizer import stop_ids
from srl_edge.quantization.gptq import CODES_FILE

# What a device needs beside the weights, where the model has it.
SIDE_FILES = ("LICENSE.txt", "LICENSE", "chat_template.jinja", "generation_config.json")


def _require_quick(adapter: Path, modules: Sequence[str]) -> None:
    """Raise InputError where the pattern that names an adapter's layers takes for ever to match."""
    pattern = read_json(adapter / "adapter_config.json", "Adapter").get("target_modules")
    try:
        for name in modules if isinstance(pattern, str) else ():
            regex.fullmatch(pattern, name, timeout=1.0)
    except (TimeoutError, regex.error):
        raise InputError(f"{adapter}: target_modules is no usable pattern ({pattern}).") from None


def _fit_vocabulary(model: Any, base: Path, adapter: Path) -> Path:
    """Give a model embeddings of its own beside its head, or more of them, as its adapter needs.

    Returns the folder whose tokenizer the merged model takes: the adapter's, where tokens came with
    it. What goes into one of two weights that the base shares would change the other as well.
    """
    shapes = {name: value.shape for name, value in tensors(adapter / FILE).items()}
    ends = {name: shape for name, shape in shapes.items() if _END.search(name)}
    whole = [
        shape[0]
        for name, shape in ends.items()
        if name.endswith((".embed_tokens.weight", ".lm_head.weight"))
    ]
    rows = model.get_input_embeddings().weight.shape[0]
    if whole and max(whole) != rows:
        model.resize_token_embeddings(max(whole), mean_resizing=False)
    settings = read_json(adapter / "adapter_config.json", "Adapter")
    partly = any(".lora_" in name for name in ends) or settings.get("modules_to_save")
    if model.config.tie_word_embeddings and partly and not settings.get("ensure_weight_tying"):
        head = model.get_output_embeddings()
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
        model.config.tie_word_embeddings = False
    more = whole and max(whole) != rows and (adapter / "tokenizer.json").is_file()
    return adapter if more else base


_END = re.compile(r"(?:^|\.)(?:embed_tokens|lm_head)\.")
FILE = "adapter_model.safetensors"


def copy_side_files(model: Path, out: Path) -> None:
    """Copy what a device needs beside the weights; links out of the model's folder are left."""
    for name in SIDE_FILES:
        if (model / name).is_file() and inside(model / name, model):
            shutil.copy(model / name, out / name)
    if (out / "tokenizer.json").is_file():
        _say_where_replies_end(out)


def _say_where_replies_end(folder: Path) -> None:
    """Let generation_config.json name every token that ends a reply, as runtimes look there."""
    file = folder / "generation_config.json"
    said = read_json_if_there(file, "Generation") or {}
    if said.get("eos_token_id") != (stops := stop_ids(folder)):
        file.write_text(json.dumps(said | {"eos_token_id": stops}, indent=2) + "\n")


def merge(base: Path, adapter: Path, out: Path) -> Path:
    """Write `out`, a model folder in fp32 safetensors with the PEFT adapter merged; return it.

    Raises InputError where the adapter is pickled or belongs to another model.
    """
    require_safetensors(adapter)
    model = loading.network(base, dtype=torch.float32)
    _require_quick(adapter, [name for name, _ in model.named_modules()])
    said = _fit_vocabulary(model, base, adapter)
    try:
        tuned = PeftModel.from_pretrained(model, adapter)
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        config = read_json(adapter / "adapter_config.json", "Adapter")
        raise InputError(
            f"{adapter}: does not fit {base} ({str(error).splitlines()[0]}); it was trained for "
            f"{config.get('base_model_name_or_path')}."
        ) from None
    for layer in tuned.modules():
        if isinstance(layer, BaseTunerLayer):
            # The trainer's sum too, where it rounds it to an artifact's codes.
            layer.double().merge()
            layer.float()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All adapters are already merged")
        merged = tuned.merge_and_unload()
    merged.config._name_or_path = ""
    with scratch_folder(out.parent, out.name) as scratch:
        try:
            merged.save_pretrained(scratch)
        except SafetensorError as error:  # it has no number of its own
            raise OSError(errno.EIO, str(error)) from None
        loading.tokenizer(said).save_pretrained(scratch)
        if (adapter / CODES_FILE).is_file():  # codes that the weights are rounded to
            shutil.copy(adapter / CODES_FILE, scratch)
        copy_side_files(base, scratch)
        return owned.publish(scratch, out)
