"""A model as ONNX whose LoRA weights are inputs of the graph: one base, any adapter."""

import json
import shutil
import tempfile
from pathlib import Path

from srl_edge.errors import InputError
from srl_edge.exporters.onnx import QUANTIZATIONS, build

_PROJECTIONS = {"attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
                "mlp": ("gate_proj", "up_proj", "down_proj")}  # fmt: skip


def export_base(model: Path, adapter: Path, out: Path, quantization: str) -> Path:
    """Write the base of a model as ONNX into `out`, unless it is there; returns `out`.

    adapter: a PEFT folder on every linear layer, for its shape alone. The graph's inputs
    `model.layers.0.attn.q_proj.lora_A.MatMul.weight` [in, r], and B [r, out] with the scaling in
    it, are given at every run. LoRA products stay in fp32 under quantized weights.
    """
    if (out / "model.onnx").is_file():
        return out
    config = json.loads((model / "config.json").read_text())
    if config["model_type"] == "gemma3_text":
        raise InputError(
            f"{model}: sampling with ONNX Runtime does not take Gemma 3, whose sliding-window "
            "layers need caches of their own; set trainer.sampler to torch."
        )
    lora = [
        f"/model/layers.{layer}/{part}/{name}/lora_{side}/MatMul"
        for layer in range(config["num_hidden_layers"])
        for part, names in _PROJECTIONS.items()
        for name in names
        for side in "AB"
    ]
    precision, options = QUANTIZATIONS[quantization]
    options = options | {
        "adapter_path": str(adapter), "prune_lm_head": "true", "nodes_to_exclude": ",".join(lora),
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        built = Path(scratch) / "base"
        build(model, built, precision, options)
        _open_inputs(built / "model.onnx")
        shutil.rmtree(out, ignore_errors=True)
        built.rename(out)
    return out


def _open_inputs(path: Path) -> None:
    """Turn the LoRA initializers of a graph into its inputs."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    fixed = []
    for tensor in graph.initializer:
        if ".lora_" in tensor.name:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
        else:
            fixed.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(fixed)
    onnx.save(model, path)
