"""4-bit weights of an ONNX folder, fitted or rounded as those of ExecuTorch programs are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from srl_edge.exporters.decoder.slices import Attention
from srl_edge.exporters.decoder.weights import (
    Checkpoint,
    Precision,
    linears_of,
    matching,
    quantized_stages,
)
from srl_edge.models import loading
from srl_edge.quantization.grid import head_block, quantize_blocks

Array = np.ndarray[Any, Any]
_PACKED = {"qkv_proj": ("q_proj", "k_proj", "v_proj")}


def fit(
    graph: Any,
    model: Path,
    context_length: int,
    texts: Sequence[Sequence[int]],
    int8_layers: Sequence[str] = (),
) -> None:
    """Put better codes and scales in place of the rounded ones in a graph of the builder.

    model: what the graph was built from, with symmetric weights in blocks of 32. texts: token ids
    of typical texts, to which 4-bit weights are fitted; without any, they are rounded. A projection
    to the vocabulary in 8 bits (and the embedding, where they are one) gets the largest blocks that
    it divides into: they are as good, and smaller and faster. So do layers that patterns in
    `int8_layers` match; those that are one product share its bits. Source of the fit: GPTQ,
    arXiv 2210.17323.
    """
    config = loading.settings(model)
    products = [node for node in graph.node if node.op_type == "MatMulNBits"]
    head = next(node for node in products if node.name.startswith("/lm_head/"))
    wide = _attribute(head, "bits").i == 8
    body = [node for node in products if node is not head and _attribute(node, "bits").i == 4]
    asked = matching(int8_layers, [name for node in body for name in _modules(node.name)])
    widened = [node for node in body if asked.intersection(_modules(node.name))]
    kept = frozenset(name for node in widened for name in _modules(node.name))
    precision = Precision(
        embedding=32,
        query_key=4,
        value_output=4,
        mlp=4,
        head=32 if wide else 4,
        kept=kept,
        kept_bits=32,
    )
    checkpoint = Checkpoint(model, config, precision)
    attention = Attention.of(config, context_length)
    fitted: dict[str, tuple[Array, Array]] = {}
    floats: dict[str, Array] = {}
    for stage in quantized_stages(checkpoint, checkpoint.embedding(), attention, texts):
        for linears in linears_of(stage):
            if linears.bits == 4:
                weights = zip(linears.weights, linears.scales, strict=True)
                pairs = [(codes.numpy(), scales.numpy()) for codes, scales in weights]
                fitted |= zip(linears.names, pairs, strict=True)
            else:
                floats |= {
                    n: w.numpy()
                    for n, w in zip(linears.names, linears.weights, strict=True)
                    if n in kept
                }
    last: Any = stage
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in widened:
        weight = np.concatenate([floats.pop(name) for name in _modules(node.name)])
        _widen(graph, tensors, node, weight)
        products.remove(node)
    if wide:
        _widen(graph, tensors, head, last.head.weights[0].numpy())
        products.remove(head)
    else:
        fitted["lm_head"] = fitted.pop(last.head.names[0])  # the embedding's, where they are tied
    for node in products:
        if _attribute(node, "bits").i == 8:
            for name in _modules(node.name):
                del fitted[name]
            continue
        codes, scales = (
            np.concatenate(part)
            for part in zip(*(fitted.pop(name) for name in _modules(node.name)), strict=True)
        )
        _replace(tensors, node, _packed(codes), scales)
    assert not fitted, f"no such products in the graph: {', '.join(fitted)}"


def _widen(graph: Any, tensors: dict[str, Any], node: Any, weight: Array) -> None:
    """Give a product its weight [out, in] in 8 bits, in the largest blocks that it divides into."""
    block = head_block(weight.shape[1])
    for reader in graph.node:  # the embedding reads the head's too, where they are tied
        if node.input[2] in reader.input:
            _attribute(reader, "block_size").i = block
            _attribute(reader, "bits").i = 8
    codes, scales = quantize_blocks(torch.from_numpy(weight), block)
    around = (codes.view(*scales.shape, block).numpy().astype(np.int16) + 128).astype(np.uint8)
    _replace(tensors, node, around, scales.numpy())


def _modules(node: str) -> list[str]:
    """The modules whose weights a product has: /model/layers.0/attn/qkv_proj/MatMul_Q4."""
    if node.startswith("/lm_head/"):
        return ["lm_head"]
    _, _, layer, block, name, _ = node.split("/")
    prefix = f"model.{layer}.{'self_attn' if block == 'attn' else block}."
    return [prefix + module for module in _PACKED.get(name, (name,))]


def _packed(codes: Array) -> Array:
    """Codes -8..7 [out, in] as MatMulNBits takes them: uint8 [out, in / 32, 16], low half first."""
    nibbles = (codes + 8).astype(np.uint8)
    return (nibbles[:, 1::2] << 4 | nibbles[:, ::2]).reshape(len(codes), -1, 16)


def _attribute(node: Any, name: str) -> Any:
    return next(a for a in node.attribute if a.name == name)


def _replace(tensors: dict[str, Any], node: Any, codes: Array, scales: Array) -> None:
    from onnx import numpy_helper

    for name, values in zip(node.input[1:3], (codes, scales), strict=True):
        tensors[name].CopyFrom(numpy_helper.from_array(values, name))
