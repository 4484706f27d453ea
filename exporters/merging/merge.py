"""The adapter added into the model's weights, once, in fp64, and rounded to fp32."""

import errno
import json
import shutil
import warnings
from pathlib import Path

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError

from srl_edge import owned
from srl_edge.files import inside, read_json_if_there, scratch_folder
from srl_edge.models import loading
from srl_edge.models.adapted import adapted, brings_tokens
from srl_edge.models.adapter_folder import require_safetensors
from srl_edge.models.tokenizer import stop_ids
from srl_edge.quantization.gptq import CODES_FILE

# What a device needs beside the weights, where the model has it.
SIDE_FILES = ("LICENSE.txt", "LICENSE", "chat_template.jinja", "generation_config.json")


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
    tokens = adapter if brings_tokens(model, adapter) else base
    tuned = adapted(model, base, adapter)
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
        loading.tokenizer(tokens).save_pretrained(scratch)
        if (adapter / CODES_FILE).is_file():  # codes that the weights are rounded to
            shutil.copy(adapter / CODES_FILE, scratch)
        copy_side_files(base, scratch)
        return owned.publish(scratch, out)
