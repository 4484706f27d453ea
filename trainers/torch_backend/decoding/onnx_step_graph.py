"""One decoding step of a decoder as a graph for ONNX Runtime: a token a row in, logits out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from srl_edge.trainers.torch_backend.decoder import Decoder, Layer, Norm

OPSET = 24  # TensorScatter, which writes into a cache where it lies
_FUSED = "com.microsoft"


def step_graph(decoder: Decoder, vocabulary: int, packs_head: bool) -> bytes:
    """The whole step as a model, its weights left out: `matrices` are inputs, `head` [V, d] too.

    packs_head: it is a constant instead, which the session is given.

    decoder: its linear layers are `LoraLinear`. Rows are a grid [P, G]; R = P * G, g = H / Hkv.
    Inputs: `x` [R, d], embedded; `divisor` [1] of logits; `rows` [R, 1], their numbers; `cos.KIND`,
    `sin.KIND` [R, D / 2]; `mask.WINDOW` [P, 1, 1, 1, T + S], added to scores; `places` [P], where
    to write; the shapes `q_grid` (P, G, Hkv, g, D), `kv_grid` (P, G, Hkv, 1, D), `heads` (P, Hkv,
    G, g, D), `by_row` (P, Hkv, G, g, T), `by_prompt` (P, Hkv, G * g, T) and `widths` (T, S); for
    each layer `prompt_k.0`, `prompt_v.0` [P, Hkv, T, D] and `own_k.0`, `own_v.0` [P, Hkv, G, S, D].
    Outputs: `logits` and `softmax` [R, V]; `new_k.0`, `new_v.0`, the caches with the token in them.
    """
    graph = _Graph()
    graph.input("x", None, decoder.norm.weight.numel())
    graph.input("divisor", 1)
    graph.input("rows", None, 1, kind=TensorProto.INT64)
    graph.input("places", None, kind=TensorProto.INT64)
    for shape, rank in (
        ("q_grid", 5),
        ("kv_grid", 5),
        ("heads", 5),
        ("by_row", 5),
        ("by_prompt", 4),
        ("widths", 2),
    ):
        graph.input(shape, rank, kind=TensorProto.INT64)
    for kind in {layer.kind for layer in decoder.layers}:
        graph.input(f"cos.{kind}", None, decoder.head_dim // 2)
        graph.input(f"sin.{kind}", None, decoder.head_dim // 2)
    for window in {layer.window for layer in decoder.layers}:
        graph.input(f"mask.{window}", None, 1, 1, 1, None)
    x, normed = "x", graph.norm("x", decoder.layers[0].before_attention)
    norms = [layer.before_attention for layer in decoder.layers[1:]] + [decoder.norm]
    for index, (layer, next_norm) in enumerate(zip(decoder.layers, norms, strict=True)):
        mixed = _attention(graph, decoder, layer, index, normed)
        if layer.after_attention:
            mixed = graph.norm(mixed, layer.after_attention)
        x, normed = graph.add_norm(x, mixed, layer.before_mlp)
        gate, up = (
            graph.columns(normed, f"{name}.{index}", layer.gate_up, member)
            for member, name in enumerate(("gate", "up"))
        )
        inner = graph.op("Mul", graph.activation(gate, decoder.gelu), up)
        out = graph.linear(inner, f"down.{index}", layer.down, transB=0)
        if layer.after_mlp:
            out = graph.norm(out, layer.after_mlp)
        x, normed = graph.add_norm(x, out, next_norm)
    (graph.given if packs_head else graph.input)("head", vocabulary, decoder.norm.weight.numel())
    graph.op("Gemm", graph.op("Div", normed, "divisor"), "head", transB=1, to=["logits"])
    graph.op("Softmax", "logits", to=["softmax"], axis=-1)
    graph.output("logits")
    graph.output("softmax")
    return graph.model()


@torch.no_grad()
def matrices(decoder: Decoder) -> Iterator[tuple[str, torch.Tensor]]:
    """The matrices [out, in] that `step_graph` leaves out, the adapter merged into them."""
    for index, layer in enumerate(decoder.layers):
        for name in ("qkv", "o", "down"):
            yield f"{name}.{index}", getattr(layer, name).merged_weight()
        gate, up = layer.gate_up.merged_weight().split(layer.gate_up.sizes)
        yield f"gate.{index}", gate
        yield f"up.{index}", up


def _attention(graph: "_Graph", decoder: Decoder, layer: Layer, index: int, x: str) -> str:
    dim, heads = decoder.head_dim, decoder.heads
    kv_heads = (sum(layer.qkv.sizes) // dim - heads) // 2
    sizes = graph.shape(heads * dim, kv_heads * dim, kv_heads * dim)
    q, k, v = graph.op(
        "Split", graph.linear(x, f"qkv.{index}", layer.qkv), sizes, outputs=3, axis=-1
    )
    q = _rotated(graph, q, layer.q_norm, heads, dim, layer.kind)
    k = _rotated(graph, k, layer.k_norm, kv_heads, dim, layer.kind)
    q, k, v = (
        graph.op("Transpose", graph.op("Reshape", side, grid), perm=[0, 2, 1, 3, 4])
        for side, grid in ((q, "q_grid"), (k, "kv_grid"), (v, "kv_grid"))
    )
    for name in ("prompt_k", "prompt_v"):
        graph.input(f"{name}.{index}", None, kv_heads, None, dim)
    for name, new in (("k", k), ("v", v)):
        graph.input(f"own_{name}.{index}", None, kv_heads, None, None, dim)
        graph.op(
            "TensorScatter",
            f"own_{name}.{index}",
            new,
            "places",
            axis=3,
            to=[f"new_{name}.{index}"],
        )
        graph.output(f"new_{name}.{index}")
    # The rows of a prompt, and the heads that share its keys, meet it in one product.
    together = graph.op("Reshape", q, graph.shape(0, 0, -1, dim))
    to_prompt, to_own = (
        graph.op("FusedMatMul", side, keys, domain=_FUSED, transB=1, alpha=layer.scaling)
        for side, keys in ((together, f"prompt_k.{index}"), (q, f"new_k.{index}"))
    )
    scores = graph.op("Concat", graph.op("Reshape", to_prompt, "by_row"), to_own, axis=-1)
    weights = graph.op("Softmax", graph.op("Add", scores, f"mask.{layer.window}"), axis=-1)
    on_prompt, on_own = graph.op("Split", weights, "widths", outputs=2, axis=-1)
    on_prompt = graph.op("Reshape", on_prompt, "by_prompt")
    from_prompt = graph.op("Reshape", graph.op("MatMul", on_prompt, f"prompt_v.{index}"), "heads")
    mixed = graph.op("Add", from_prompt, graph.op("MatMul", on_own, f"new_v.{index}"))
    mixed = graph.op("Transpose", mixed, perm=[0, 2, 1, 3, 4])
    mixed = graph.op("Reshape", mixed, graph.shape(-1, heads * dim))
    return graph.linear(mixed, f"o.{index}", layer.o)


def _rotated(
    graph: "_Graph", x: str, norm: Norm | None, heads: int, dim: int, kind: str | None
) -> str:
    """Heads [R, heads * D], normed one by one where the family does, rotated: [R, 1, heads * D]."""
    if norm:
        x = graph.norm(graph.op("Reshape", x, graph.shape(0, heads, dim)), norm)
    x = graph.op("Reshape", x, graph.shape(-1, 1, heads * dim))
    rotated: str = graph.op(
        "RotaryEmbedding", x, f"cos.{kind}", f"sin.{kind}", "rows", num_heads=heads
    )
    return rotated


class _Graph:
    """A graph in the making: each call adds a node and returns the name of what it computes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.constants: list[Any] = []

    def input(self, name: str, *shape: int | None, kind: int = TensorProto.FLOAT) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))

    def output(self, name: str) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))

    def given(self, name: str, *shape: int) -> None:
        """A constant whose values the session is given."""
        left_out = TensorProto(
            name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL
        )
        left_out.external_data.add(key="location", value=name)
        self.constants.append(left_out)

    def constant(self, value: "np.ndarray[Any, Any]") -> str:
        name = f"constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def shape(self, *sizes: int) -> str:
        return self.constant(np.array(sizes))

    def op(
        self,
        kind: str,
        *inputs: str,
        outputs: int = 1,
        to: list[str] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> Any:
        names = to or [f"{kind}.{len(self.nodes)}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names[0] if len(names) == 1 else names

    def linear(self, x: str, name: str, layer: Any, transB: int = 1) -> str:
        """Outputs [R, out] of a `LoraLinear`; x [R, in], or [in, R] with transB 0."""
        columns = self.columns(x, name, layer, transB=transB)
        out: str = self.op("Transpose", columns, perm=[1, 0])
        return out

    def columns(
        self, x: str, name: str, layer: Any, only: int | None = None, transB: int = 1
    ) -> str:
        """Outputs [out, R], all or those of one member."""
        # MLAS copies the right operand into another layout at every product. Here that is the rows,
        # which are few, and the weights are read where they are.
        sizes = layer.sizes if only is None else [layer.sizes[only]]
        self.input(name, sum(sizes), layer.lora_A.shape[1])
        inputs = [name, x]
        if layer.bias is not None:
            bias = layer.bias if only is None else layer.bias.split(layer.sizes)[only]
            inputs.append(self.constant(bias[:, None].numpy()))
        out: str = self.op("Gemm", *inputs, transB=transB)
        return out

    def norm(self, x: str, norm: Norm) -> str:
        out: str = self.op(
            "SimplifiedLayerNormalization",
            x,
            self.constant(norm.weight.numpy()),
            axis=-1,
            epsilon=norm.epsilon,
            stash_type=1,
        )
        return out

    def add_norm(self, x: str, y: str, norm: Norm) -> tuple[str, str]:
        """x + y, and that normed."""
        total, normed = f"sum.{len(self.nodes)}", f"normed.{len(self.nodes)}"
        self.op(
            "SkipSimplifiedLayerNormalization",
            x,
            y,
            self.constant(norm.weight.numpy()),
            to=[normed, "", "", total],
            domain=_FUSED,
            epsilon=norm.epsilon,
        )
        return total, normed

    def activation(self, x: str, gelu: bool) -> str:
        out: str = (
            self.op("Gelu", x, approximate="tanh")
            if gelu
            else self.op("QuickGelu", x, domain=_FUSED, alpha=1.0)
        )
        return out

    def model(self) -> bytes:
        graph = helper.make_graph(self.nodes, "step", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_FUSED, 1)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        serialized: bytes = made.SerializeToString()
        return serialized
