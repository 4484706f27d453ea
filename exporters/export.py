"""The export stage: merge the adapter, then build each artifact that is asked for."""

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
from srl_edge.exporters.subject import Subject, of_run
from srl_edge.files import read_json, read_json_if_there, read_text, scratch_folder
from srl_edge.models.chat_template import ADDITIONAL, source_of
from srl_edge.models.routes import require_vocabulary
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.quantization.formats import (
    ALL,
    AS_SHIPPED,
    parse_name,
    require_builders,
    require_options,
)
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


def export(recipe: Recipe, run: Path) -> Path:
    """Write `run/merged` and `run/artifacts/<format>-<quantization>/`; return `run/artifacts`."""
    require_builders(recipe.export.artifacts)
    if not (run / "adapter" / "adapter_config.json").is_file():
        raise InputError(f"{run}/adapter: no adapter to export; run `srl-edge train {run}` first.")
    return write_artifacts(of_run(recipe, run), owned.claim(run / "artifacts", "artifacts"))


def write_artifacts(subject: Subject, folder: Path) -> Path:
    """Write `folder/<format>-<quantization>/` of each artifact that the subject names.

    folder: a claimed one, which is returned. The merged model stays in the subject's own. Each
    artifact folder holds all that a device needs, and `manifest.json`. Builds in a temporary
    folder, so no half artifact is left behind.
    """
    names = [parse_name(name) for name in subject.export.artifacts]
    for out in (subject.merged, *(folder / name for name in subject.export.artifacts)):
        owned.require_own(out)  # before the work, not after it
    asked = subject.export
    require_options(asked.artifacts, asked.adapter, asked.int8_layers, _quantization_of(subject))
    try:
        with progress.bar("export", len(names) + 1) as advance:
            merged = merge_trained(subject)  # what artifacts are checked by
            config = read_json(merged / "config.json", "ModelConfig")
            require_vocabulary(config, load_tokenizer(merged), subject.name)
            advance("merged")
            for format_, quantization in names:
                _build(subject, folder, format_, quantization)
                advance(f"{format_}-{quantization}")
    except OSError as error:
        if error.errno is None:  # a library's own, about what it was given to read
            raise
        free = shutil.disk_usage(folder).free / 1e6
        raise InputError(
            f"{folder}: the export cannot be written: {error.strerror}; {free:,.0f} MB are free "
            "there."
        ) from None
    return folder


def _quantization_of(subject: Subject) -> str:
    """The trainer.quantization that an adapter was trained with; "" for what has none."""
    found: str = trained_on(subject.adapter).get("quantization", "")
    return found


def _build(subject: Subject, folder: Path, format_: str, quantization: str) -> None:
    out = folder / f"{format_}-{quantization}"
    with scratch_folder(folder, out.name) as scratch:
        options = _write(subject, scratch, format_, quantization)
        for file in subject.merged.iterdir():
            known = file.name in ("config.json", "generation_config.json", "LICENSE.txt", "LICENSE")
            of_tokenizer = file.name.startswith(("tokenizer", "chat_template", "special_tokens"))
            # A builder may have written the tokenizer as transformers makes it of another file.
            if of_tokenizer or (known and not (scratch / file.name).exists()):
                shutil.copy(file, scratch / file.name)
        if (further := subject.merged / ADDITIONAL).is_dir():
            shutil.copytree(further, scratch / ADDITIONAL, dirs_exist_ok=True)
        artifacts.write_manifest(scratch, _manifest(subject, options, out.name))
        owned.publish(scratch, out)


def _write(subject: Subject, out: Path, format_: str, quantization: str) -> dict[str, Any]:
    """Write what the format itself consists of; returns the options used."""
    settings, merged, length = subject.export, subject.merged, subject.export.context_length
    separate, kind = settings.adapter == "separate", ALL[out.name]
    layers = settings.int8_layers if kind.gptq else ()
    trained = _quantization_of(subject)
    as_trained = not separate and out.name == AS_SHIPPED.get(trained)
    model, adapter = merged, None
    if separate:
        model, adapter = merged_into(subject), subject.adapter
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
            subject.texts("train"),
            load_tokenizer(model),
            subject.seed,
            subject.asked.form,
            subject.asked.whole,
        )
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

        cases, _ = references(subject, merged, "validation")
        least = subject.check.agreement["auto"]
        return export_smallest(merged, out, cases, least, length, texts, subject.bench.threads)
    from srl_edge.exporters.onnx import adapter as onnx_adapter
    from srl_edge.exporters.onnx import build as onnx

    if adapter:
        return onnx_adapter.export(model, adapter, out, quantization, length, texts, layers)
    return onnx.export(merged, out, quantization, length, texts, int8_layers=layers) | rounding


def _manifest(subject: Subject, options: dict[str, Any], name: str) -> dict[str, Any]:
    format_, quantization = parse_name(name)
    merged, adapter, asked = subject.merged, subject.adapter, subject.asked
    tokenizer = load_tokenizer(merged)
    config = read_json(merged / "config.json", "ModelConfig")
    licence = merged / "LICENSE.txt"
    return {
        "format": format_,
        "quantization": quantization,
        "support": "run by the gate" if ALL[name].runs else "built, never run",
        "options": options,
        "base": {"name": subject.name, "weights_sha256": artifacts.weights_sha256(subject.base)},
        "adapter": subject.export.adapter if adapter else None,
        "merge": _merge_choice(merged),
        "adapter_rank": rank(adapter) if adapter else None,
        "adapter_sha256": artifacts.adapter_sha256(adapter) if adapter else None,
        "merged_sha256": artifacts.weights_sha256(merged),
        "prompt": asked.form.as_dict() | {"reply": "whole" if asked.whole else "step"},
        "family": config["model_type"],
        "context_length": subject.export.context_length,
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
