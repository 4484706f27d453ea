"""4-bit weights of an ONNX folder, fitted to typical inputs as those of ExecuTorch programs are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoConfig

from srl_edge.exporters.decoder_stages import Attention
from srl_edge.exporters.decoder_weights import (
    Checkpoint,
    Precision,
    linears_of,
    quantized_stages,
)
from srl_edge.exporters.onnx import rewritten

Fitted = dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
# What is in 8 bits is rounded by the builder.
_PRECISION = Precision(embedding=32, query_key=4, value_output=4, mlp=4, head=8)
_PACKED = {"qkv_proj": ("q_proj", "k_proj", "v_proj")}


def fit(folder: Path, model: Path, context_length: int, texts: Sequence[Sequence[int]]) -> None:
    """Put fitted 4-bit codes and scales in place of the rounded ones in a folder of the builder.

    model: what the folder was built from, with symmetric 4-bit weights in blocks of 32. texts:
    token ids of typical texts. Source of the fit: GPTQ, arXiv 2210.17323.
    """
    config = AutoConfig.from_pretrained(model)
    checkpoint = Checkpoint(model, config, _PRECISION)
    attention = Attention.of(config, context_length)
    fitted: Fitted = {}
    for stage in quantized_stages(checkpoint, checkpoint.embedding(), attention, texts):
        for linears in linears_of(stage):
            if linears.bits == 4:
                weights = zip(linears.weights, linears.scales, strict=True)
                pairs = [(codes.numpy(), scales.numpy()) for codes, scales in weights]
                fitted |= zip(linears.names, pairs, strict=True)
    with rewritten(folder) as graph:
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            names = _modules(node.name) if node.op_type == "MatMulNBits" else []
            if names and names[0] in fitted:
                codes, scales = (
                    np.concatenate(part) for part in zip(*map(fitted.pop, names), strict=True)
                )
                _replace(tensors[node.input[1]], _packed(codes))
                _replace(tensors[node.input[2]], scales)
    assert not fitted, f"no such products in the graph: {', '.join(fitted)}"


def _modules(node: str) -> list[str]:
    """The modules whose weights a product has: /model/layers.0/attn/qkv_proj/MatMul_Q4."""
    parts = node.split("/")
    if len(parts) != 6 or not parts[2].startswith("layers."):
        return []
    _, _, layer, block, name, _ = parts
    prefix = f"model.{layer}.{'self_attn' if block == 'attn' else block}."
    return [prefix + module for module in _PACKED.get(name, (name,))]


def _packed(codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Codes -8..7 [out, in] as MatMulNBits takes them: uint8 [out, in / 32, 16], low half first."""
    nibbles = (codes + 8).astype(np.uint8)
    return (nibbles[:, 1::2] << 4 | nibbles[:, ::2]).reshape(len(codes), -1, 16)


def _replace(tensor: Any, values: np.ndarray[Any, Any]) -> None:
    from onnx import numpy_helper

    assert list(tensor.dims) == list(values.shape), (tensor.name, tensor.dims, values.shape)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
