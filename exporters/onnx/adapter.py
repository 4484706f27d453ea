"""A model as ONNX whose LoRA weights are inputs of the graph: one base, any adapter."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_edge.exporters.onnx import build as onnx_export
from srl_edge.files import read_json, scratch_folder
from srl_edge.models import adapter_folder, loading
from srl_edge.models.routes import require
from srl_edge.quantization.formats import FORMATS

_PROJECTIONS = {
    "attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}


def export(
    base: Path,
    adapter: Path,
    out: Path,
    quantization: str,
    context_length: int,
    texts: Sequence[Sequence[int]] = (),
    int8_layers: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the base as an onnxruntime-genai folder, and the adapter beside it.

    adapter: a PEFT folder. Without an active adapter the graph is the base model. texts and
    int8_layers: as for `onnx.export`. Returns the options used.
    """
    options = onnx_export.export(
        base, out, quantization, context_length, texts, _with_lora(base, adapter), int8_layers
    )
    _open_inputs(out, base)
    write_adapter(adapter, out / str(FORMATS["onnx"].adapter))
    return options


def export_base(model: Path, adapter: Path, out: Path, quantization: str) -> Path:
    """Write a base for the trainer's ONNX sampler into `out`, unless it is there; returns `out`.

    adapter: a PEFT folder on every linear layer, for its layers alone.
    """
    if (out / "model.onnx").is_file():
        return out
    doing = "sampled from with ONNX Runtime (set trainer.sampler to torch)"
    require(loading.settings(model).to_dict(), "onnx sampler", model, doing)
    # int4 means weights that are fitted to training prompts, which only the export stage has.
    name = "int4-kquant" if quantization == "int4" else quantization
    chosen = onnx_export.QUANTIZATIONS[name]
    options = chosen.options | _with_lora(model, adapter)
    with scratch_folder(out.parent, "base") as built:
        onnx_export.build(model, built, chosen.precision, options)
        _open_inputs(built, model)
        shutil.rmtree(out, ignore_errors=True)
        built.rename(out)
    return out


def write_adapter(adapter: Path, file: Path) -> Path:
    """Write a PEFT folder as an `.onnx_adapter` file for a base that `export` wrote; returns it."""
    import onnxruntime

    weights = {}
    for module, (a, b) in adapter_folder.of_one_rank(adapter_folder.pairs(adapter)).items():
        for side, matrix in (("A", a), ("B", b)):
            name = f"model.{module.replace('self_attn', 'attn')}.lora_{side}.MatMul.weight"
            weights[name] = np.ascontiguousarray(matrix.T)
    made = onnxruntime.AdapterFormat()
    made.set_adapter_version(1)
    made.set_model_version(1)
    value = onnxruntime.OrtValue.ortvalue_from_numpy
    made.set_parameters({name: value(weight) for name, weight in weights.items()})
    made.export_adapter(str(file))
    return file


def _with_lora(model: Path, adapter: Path) -> dict[str, str]:
    """Options of the builder: LoRA products as nodes of their own, in fp32 always."""
    layers = read_json(model / "config.json", "ModelConfig")["num_hidden_layers"]
    lora = [
        f"/model/layers.{layer}/{part}/{name}/lora_{side}/MatMul"
        for layer in range(layers)
        for part, names in _PROJECTIONS.items()
        for name in names
        for side in "AB"
    ]
    # Quantized, A and B would be packed codes, which no other adapter could take the place of.
    return {"adapter_path": str(adapter), "nodes_to_exclude": ",".join(lora)}


def _open_inputs(folder: Path, model: Path) -> None:
    """Turn a graph's LoRA weights into inputs that are of rank 0 unless an adapter is given.

    A product over no columns is zero, so the base needs neither their values nor their rank.
    """
    import onnx

    with onnx_export.rewritten(folder) as graph:
        onnx_export.set_ropes(graph, model)
        for tensor in graph.initializer:
            if ".lora_" not in tensor.name:
                continue
            rank_at = 1 if ".lora_A." in tensor.name else 0
            shape: list[int | str] = list(tensor.dims)
            shape[rank_at] = "rank"
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, shape)
            )
            shape[rank_at] = 0
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            empty = onnx.numpy_helper.from_array(np.zeros(shape, kind), tensor.name)  # type: ignore[arg-type]
            tensor.CopyFrom(empty)
        for known in [v for v in graph.value_info if "/lora_A/" in v.name]:
            graph.value_info.remove(known)  # it says the rank of the adapter that was built with
