"""The adapter added into the model's weights, once, in fp64, and rounded to fp32."""

import errno
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError

from srl_edge import owned
from srl_edge.errors import InputError
from srl_edge.exporters.parity.faults import MERGED_DIVERGENCE
from srl_edge.files import inside, read_json_if_there, scratch_folder
from srl_edge.models import loading
from srl_edge.models.adapted import adapted
from srl_edge.models.adapter_folder import require_safetensors
from srl_edge.models.tokenizer import stop_ids, tokenizer_beside
from srl_edge.quantization.gptq import CODES_FILE
from srl_edge.terminal import progress

# What a device needs beside the weights, where the model has it.
SIDE_FILES = ("LICENSE.txt", "LICENSE", "chat_template.jinja", "generation_config.json")
_TRIED = 48  # tokens over which the merged model must answer as the one with its adapter beside it


def copy_side_files(model: Path, out: Path, but: str = "") -> None:
    """Copy what a device needs beside the weights; links out of the model's folder are left.

    but: a file that is left as `out` has it.
    """
    for name in SIDE_FILES:
        if name != but and (model / name).is_file() and inside(model / name, model):
            shutil.copy(model / name, out / name)
    if (out / "tokenizer.json").is_file():
        _say_where_replies_end(out)


def _say_where_replies_end(folder: Path) -> None:
    """Let generation_config.json name every token that ends a reply, as runtimes look there."""
    file = folder / "generation_config.json"
    said = read_json_if_there(file, "Generation") or {}
    if said.get("eos_token_id") != (stops := stop_ids(folder)):
        file.write_text(
            json.dumps(said | {"eos_token_id": stops}, indent=2) + "\n", encoding="utf-8"
        )


def merge(base: Path, adapter: Path | None, out: Path) -> Path:
    """Write `out`, a model folder in fp32 safetensors with a PEFT adapter merged; return it.

    Without an adapter it is the model itself. The tokenizer is the one that the adapter was saved
    with, where it was. Raises InputError where the adapter is pickled, belongs to another model, or
    cannot be merged exactly.
    """
    if adapter:
        require_safetensors(adapter)
    model = loading.network(base, dtype=torch.float32)
    if adapter:
        model = _merged(model, base, adapter)
    model.config._name_or_path = ""
    if hasattr(model.config, "auto_map"):  # its code was not needed, and does not come along
        del model.config.auto_map
    with scratch_folder(out.parent, out.name) as scratch:
        try:
            model.save_pretrained(scratch)
        except SafetensorError as error:  # it has no number of its own
            raise OSError(errno.EIO, str(error)) from None
        # The one that tools saved with the adapter, and with it the template that they trained on.
        own = bool(adapter and (adapter / "tokenizer.json").is_file())
        tokens = tokenizer_beside(base, adapter) if own else loading.tokenizer(base)
        tokens.save_pretrained(scratch)
        if adapter and (adapter / CODES_FILE).is_file():  # codes that the weights are rounded to
            shutil.copy(adapter / CODES_FILE, scratch)
        copy_side_files(base, scratch, but="chat_template.jinja" if own else "")
        return owned.publish(scratch, out)


def _merged(model: Any, base: Path, adapter: Path) -> Any:
    tuned = adapted(model, base, adapter).eval()
    ids = (torch.arange(_TRIED) * 7919 % model.get_input_embeddings().weight.shape[0])[None]
    before = _logprobs(tuned, ids)
    with tuned.disable_adapter():
        if torch.equal(before, _logprobs(tuned, ids)):
            progress.say(f"export: {adapter} changes nothing: it is the untrained model.")
    try:
        for layer in tuned.modules():
            if isinstance(layer, BaseTunerLayer):
                # The trainer's sum too, where it rounds it to an artifact's codes.
                layer.double().merge()
                layer.float()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All adapters are already merged")
            merged = tuned.merge_and_unload()
    except (RuntimeError, ValueError, NotImplementedError) as error:
        said = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{adapter}: cannot be merged: {said}.") from None
    after = _logprobs(merged, ids)
    divergence = float((before.exp() * (before - after)).sum(-1).mean())
    if not divergence <= MERGED_DIVERGENCE:
        raise InputError(
            f"{adapter}: cannot be merged exactly: the merged model answers otherwise than the "
            f"model with the adapter beside it (divergence {divergence:.4f} nats a token)."
        )
    return merged


@torch.no_grad()
def _logprobs(model: Any, ids: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return logits.double().log_softmax(-1)
