"""The frozen weights that an adapter saw, where it was trained on quantized ones."""

import json
from pathlib import Path
from typing import Any

import torch

from srl_edge import owned
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.exporters.merging.merge import copy_side_files, merge
from srl_edge.exporters.parity.logits import agreement, references
from srl_edge.exporters.subject import Subject
from srl_edge.files import read_json_if_there, scratch_folder
from srl_edge.models import loading
from srl_edge.models.adapter_folder import FROZEN
from srl_edge.models.families import FAMILIES
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.quantization.gptq import read_weights
from srl_edge.quantization.grid import HEAD, rounded, rounded_ends
from srl_edge.quantization.storage import dequantized
from srl_edge.terminal import progress

# The layers that are quantized as one, since they read the same input.
TOGETHER = (
    ("self_attn", ("q_proj", "k_proj", "v_proj")),
    ("self_attn", ("o_proj",)),
    ("mlp", ("gate_proj", "up_proj")),
    ("mlp", ("down_proj",)),
)
CHOICE = "merge.json"  # in the merged folder: what the adapter was merged into


def merge_trained(subject: Subject) -> Path:
    """Write the subject's `merged`, the model with the adapter in its weights if it has one.

    An adapter of quantized weights fits those better than the original ones. It is merged into
    both, and the one is kept whose KL to the trained model, over held-out prompts, is smaller, or
    which `export.merge_into` names; `merged/merge.json` has both figures. One that was trained as
    an artifact rounds goes into the original weights, from which that rounding starts.
    """
    base, adapter, run = subject.base, subject.adapter, subject.folder
    frozen = trained_on(adapter)
    if frozen.get("quantization", "none") in ("none", *AS_SHIPPED):
        return merge(base, adapter, subject.merged)
    saw = _as_trained(base, frozen, subject.dequantized)
    bases = {"dequantized": saw, "original": base}
    figures = {}
    cases, _ = references(subject, saw, "validation", adapter)
    for name, folder in bases.items():
        merged = merge(folder, adapter, run / f"merged-{name}")
        found = agreement(TorchRuntime(merged), cases, load_tokenizer(base), _silent, "")
        figures[name] = {"kl_divergence": found.kl_divergence, "agreement": found.agreement}
    best = min(figures, key=lambda name: figures[name]["kl_divergence"])
    into = best if subject.export.merge_into == "auto" else subject.export.merge_into
    choice = {"into": into, "trained_on": frozen, "to_the_trained_model": figures}
    (run / f"merged-{into}" / CHOICE).write_text(
        json.dumps(choice, indent=1) + "\n", encoding="utf-8"
    )
    owned.publish(run / f"merged-{into}", subject.merged)
    for name in bases:
        owned.remove(run / f"merged-{name}")
    if into == "original":
        owned.remove(saw)
    told = ", ".join(f"{n} {f['kl_divergence']:.2g}" for n, f in figures.items())
    progress.say(f"export: merged into the {into} weights; KL to the trained model, nats: {told}.")
    return subject.merged


def trained_on(adapter: Path | None) -> dict[str, str]:
    """Backend, quantization and dtype of the weights that an adapter was trained on, if told."""
    return (read_json_if_there(adapter / FROZEN, "Frozen") if adapter else None) or {}


def merged_into(subject: Subject) -> Path:
    """The model folder whose weights the subject's `merged` was made of."""
    chosen = read_json_if_there(subject.merged / CHOICE, "Choice") or {}
    return subject.dequantized if chosen.get("into") == "dequantized" else subject.base


def _as_trained(base: Path, frozen: dict[str, Any], out: Path) -> Path:
    """A copy of a model folder, in fp32, whose linear layers went through quantization once."""
    dtype = getattr(torch, frozen["dtype"])
    model = loading.network(base, dtype=dtype)
    for layer in model.get_decoder().layers:
        for owner, names in TOGETHER:
            linears = [getattr(getattr(layer, owner), name) for name in names]
            kept = dequantized(
                [x.weight.detach() for x in linears], frozen["quantization"], frozen["backend"]
            )
            for linear, weight in zip(linears, kept, strict=True):
                linear.weight.data = weight
    model.float()
    return _saved(model, base, out)


def rounded_as_trained(merged: Path, adapter: Path, out: Path) -> Path:
    """Write `out`, a merged model folder with all weights as training rounded them; return it.

    adapter: one that was trained as an artifact rounds. Activations are not rounded in such a
    folder, and its projection to the vocabulary is no longer the embedding.
    """
    artifact = trained_on(adapter)["quantization"]
    fitted = read_weights(adapter)
    model = loading.network(merged, dtype=torch.float32)
    for name, module in model.get_decoder().layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            key, weight = f"layers.{name}", module.weight.detach()
            module.weight.data = fitted[key] if key in fitted else rounded(artifact, name, weight)
    embed, head = model.get_input_embeddings(), model.get_output_embeddings()
    table = embed.weight.detach()
    last = table if head.weight is embed.weight else head.weight.detach()
    family = FAMILIES[model.config.model_type]
    scale = family.embedding_scale(model.config.hidden_size)
    rows, last = rounded_ends(artifact, table, last, scale)
    last = fitted.get(HEAD, last)
    embed.weight, head.weight = (torch.nn.Parameter(x) for x in (rows / scale, last.clone()))
    model.config.tie_word_embeddings = False
    return _saved(model, merged, out)


def _saved(model: Any, base: Path, out: Path) -> Path:
    with scratch_folder(out.parent, out.name) as scratch:
        model.save_pretrained(scratch)
        loading.tokenizer(base).save_pretrained(scratch)
        copy_side_files(base, scratch)
        return owned.publish(scratch, out)


def _silent(*_: Any) -> None: ...
