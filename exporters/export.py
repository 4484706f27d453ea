"""The export stage: merge the adapter, then build each artifact of the recipe."""

import hashlib
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge import owned
from srl_edge.errors import InputError
from srl_edge.exporters.adapters import rank
from srl_edge.exporters.merging.trained_weights import merge_trained, merged_into, trained_on
from srl_edge.files import file_sha256, read_json, read_json_if_there, read_text, scratch_folder
from srl_edge.models.catalog import resolve
from srl_edge.models.chat_template import source_of
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.quantization.formats import ALL, AS_SHIPPED, FORMATS, parse_name, require_builders
from srl_edge.recipe import Recipe
from srl_edge.terminal import progress

_TOOLS = (
    "torch",
    "transformers",
    "peft",
    "onnxruntime",
    "onnxruntime-genai",
    "executorch",
    "torchao",
    "mlx-lm",
)
_GPTQ = tuple(name for name, kind in ALL.items() if kind.gptq)


def export(recipe: Recipe, run: Path) -> Path:
    """Write `run/merged` and `run/artifacts/<format>-<quantization>/`; return `run/artifacts`.

    Each artifact folder holds all that a device needs, and `manifest.json`. Builds in a temporary
    folder, so no half artifact is left behind.
    """
    require_builders(recipe.export.artifacts)
    names = [parse_name(name) for name in recipe.export.artifacts]
    if not (run / "adapter" / "adapter_config.json").is_file():
        raise InputError(f"{run}/adapter: no adapter to export; run `srl-edge train {run}` first.")
    base = resolve(recipe.model.name)
    folder = owned.claim(run / "artifacts", "artifacts")
    for out in (run / "merged", *(folder / name for name in recipe.export.artifacts)):
        owned.require_own(out)  # before the work, not after it
    try:
        with progress.bar("export", len(names) + 1) as advance:
            merged = merge_trained(recipe, run)  # what artifacts are checked by
            advance("merged")
            for format_, quantization in names:
                _build(recipe, run, base, merged, folder, format_, quantization)
                advance(f"{format_}-{quantization}")
    except OSError as error:
        if error.errno is None:  # a library's own, about what it was given to read
            raise
        free = shutil.disk_usage(folder).free / 1e6
        raise InputError(
            f"{run}: the export cannot be written: {error.strerror}; {free:,.0f} MB are free there."
        ) from None
    return folder


def _build(
    recipe: Recipe, run: Path, base: Path, merged: Path, folder: Path, format_: str,
    quantization: str,
) -> None:  # fmt: skip
    out = folder / f"{format_}-{quantization}"
    with scratch_folder(folder, out.name) as scratch:
        options = _write(recipe, run, base, merged, scratch, format_, quantization)
        for file in merged.iterdir():
            known = file.name in ("config.json", "generation_config.json", "LICENSE.txt", "LICENSE")
            of_tokenizer = file.name.startswith(("tokenizer", "chat_template", "special_tokens"))
            if (known or of_tokenizer) and not (scratch / file.name).exists():
                shutil.copy(file, scratch / file.name)
        artifacts.write_manifest(scratch, _manifest(recipe, run, base, merged, options, out.name))
        owned.publish(scratch, out)


def _write(
    recipe: Recipe, run: Path, base: Path, merged: Path, out: Path, format_: str, quantization: str
) -> dict[str, Any]:
    """Write what the format itself consists of; returns the options used."""
    length = recipe.export.context_length
    separate = recipe.export.adapter == "separate"
    kind = ALL[out.name]
    alone = kind.bits is None or not kind.runs
    if separate and (alone or not FORMATS[format_].adapter):
        raise InputError(
            f"{out.name}: takes merged models alone; set export.adapter = 'merged', or leave it "
            "out of export.artifacts."
        )
    if recipe.export.int8_layers and kind.bits == 4 and not kind.gptq:
        raise InputError(
            f"{out.name}: export.int8_layers is for {', '.join(_GPTQ)}; leave it out of "
            "export.artifacts."
        )
    layers = recipe.export.int8_layers if kind.gptq else ()
    as_trained = not separate and out.name == AS_SHIPPED.get(
        trained_on(run / "adapter").get("quantization", "")
    )
    if as_trained and layers:
        raise InputError(
            f"{out.name}: the adapter was trained on other bits than export.int8_layers asks for; "
            "leave it out, or train with trainer.quantization = 'none'."
        )
    model, adapter = merged, None
    if separate:
        model, adapter = merged_into(recipe, run), run / "adapter"
    if format_ == "mlx":
        from srl_edge.exporters.converters import mlx

        return mlx.export(merged, out, quantization)
    if format_ == "gguf":
        from srl_edge.exporters.converters import gguf

        return gguf.export(merged, out, quantization)
    if format_ == "optimum":
        from srl_edge.exporters.converters import optimum

        return optimum.export(merged, out, quantization)
    rounding = {"rounding": "as trained"} if as_trained else {}
    texts: list[list[int]] = []
    if kind.calibrated and not as_trained:
        from srl_edge.data.calibration import calibration_texts

        texts = calibration_texts(
            run / "data" / "train.jsonl", load_tokenizer(model), recipe.seed,
            recipe.prompt.form, recipe.whole,
        )  # fmt: skip
        texts = [t[:length] for t in texts]
    if format_ == "executorch":
        from srl_edge.exporters.executorch import build as executorch

        executorch.export(model, out, quantization, length, texts, adapter, layers)
        options = asdict(executorch.PRECISIONS[quantization]) | {"kept": layers}
        if quantization == "coreml-fp16":
            options["differs_between_exports"] = "the UUIDs in Core ML's package manifests"
        fitted_to = {"calibration_tokens": sum(map(len, texts))}
        return options | (rounding if as_trained else fitted_to)
    if quantization == "auto":
        from srl_edge.exporters.onnx.search import export_smallest
        from srl_edge.exporters.parity.logits import references

        cases, _ = references(merged, run / "data" / "validation.jsonl", recipe)
        least = recipe.check.agreement["auto"]
        return export_smallest(merged, out, cases, least, length, texts, recipe.bench.threads)
    from srl_edge.exporters.onnx import adapter as onnx_adapter
    from srl_edge.exporters.onnx import build as onnx

    if adapter:
        return onnx_adapter.export(model, adapter, out, quantization, length, texts, layers)
    return onnx.export(merged, out, quantization, length, texts, int8_layers=layers) | rounding


def _manifest(
    recipe: Recipe, run: Path, base: Path, merged: Path, options: dict[str, Any], name: str
) -> dict[str, Any]:
    format_, quantization = parse_name(name)
    tokenizer = load_tokenizer(merged)
    config = read_json(merged / "config.json", "ModelConfig")
    licence = merged / "LICENSE.txt"
    return {
        "format": format_,
        "quantization": quantization,
        "support": "run by the gate" if ALL[name].runs else "built, never run",
        "options": options,
        "base": {"name": recipe.model.name, "weights_sha256": _weights_sha256(base)},
        "adapter": recipe.export.adapter,
        "merge": _merge_choice(merged),
        "adapter_rank": rank(run / "adapter"),
        "adapter_sha256": file_sha256(run / "adapter" / "adapter_model.safetensors"),
        "merged_sha256": _weights_sha256(merged),
        "prompt": recipe.prompt.form.as_dict() | {"reply": "whole" if recipe.whole else "step"},
        "family": config["model_type"],
        "context_length": recipe.export.context_length,
        "vocabulary": config["vocab_size"],
        "bos_token_id": tokenizer.bos_token_id,
        "stop_token_ids": stop_ids(merged),
        "chat_template_sha256": hashlib.sha256(source_of(tokenizer).encode()).hexdigest(),
        "licence": read_text(licence).strip() if licence.is_file() else None,
        "tools": artifacts.tool_versions(*_TOOLS),
    }


def _merge_choice(merged: Path) -> Any:
    """What an adapter of quantized weights was merged into, and why; None for another."""
    return read_json_if_there(merged / "merge.json", "Choice")


def _weights_sha256(folder: Path) -> str:
    files = sorted(folder.glob("*.safetensors"))
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
