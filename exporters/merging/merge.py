"""The adapter added into the model's weights, once, in fp64, and rounded to fp32."""

import errno
import json
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from srl_edge.errors import InputError
from srl_edge.models.adapter_folder import require_safetensors

# What a device needs beside the weights, where the model has it.
SIDE_FILES = ("LICENSE.txt", "LICENSE", "chat_template.jinja", "generation_config.json")


def merge(base: Path, adapter: Path, out: Path) -> Path:
    """Write `out`, a model folder in fp32 safetensors with the PEFT adapter merged; return it.

    Raises InputError where the adapter is pickled or belongs to another model.
    """
    require_safetensors(adapter)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    try:
        tuned = PeftModel.from_pretrained(model, adapter)
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        config = json.loads((adapter / "adapter_config.json").read_text())
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
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        scratch = Path(temporary, out.name)
        try:
            merged.save_pretrained(scratch)
        except SafetensorError as error:  # it has no number of its own
            raise OSError(errno.EIO, str(error)) from None
        AutoTokenizer.from_pretrained(base).save_pretrained(scratch)
        for name in SIDE_FILES:
            if (base / name).is_file():
                shutil.copy(base / name, scratch / name)
        shutil.rmtree(out, ignore_errors=True)
        scratch.rename(out)
    return out
