"""A model as one ExecuTorch program: lowered stages, custom attention, its cache inside.

The usual route hands the whole graph to a partitioner, which recompiles all of it once for every
piece it cuts out. Here the pieces are known beforehand (srl_edge.exporters.decoder.slices), so
each is lowered by itself, and the program around them is exported with the pieces already opaque.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srl_edge.artifact import NO_ADAPTER
from srl_edge.errors import InputError
from srl_edge.exporters.quiet import quiet
from srl_edge.models import loading
from srl_edge.models.routes import require_exportable
from srl_edge.models.tokenizer import stop_ids
from srl_edge.quantization.formats import FORMATS

with quiet():  # torchao, which all of these import, reports every GPU kernel that it has not got
    # The first two are imported for the operators that they register.
    import executorch.extension.llm.custom_ops.custom_ops
    import executorch.kernels.quantized  # noqa: F401
    from executorch.backends.xnnpack.utils.quant_utils import (
        is_dequant,
        is_quant,
        tag_as_implicit_q_dq,
    )
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge
    from executorch.exir.backend.backend_api import to_backend
    from executorch.exir.lowered_backend_module import LoweredBackendModule
    from executorch.exir.passes import MemoryPlanningPass

    from srl_edge.exporters.decoder.slices import First, Last, Middle
    from srl_edge.exporters.decoder.weights import (
        ACTIVATIONS,
        Precision,
        activation,
        head_dim,
        linear_names,
        matching,
    )
    from srl_edge.exporters.executorch.adapter import matrices, write
    from srl_edge.exporters.executorch.delegates import delegate
    from srl_edge.exporters.executorch.model import build, lora_names

# Vulkan and Core ML round to 16 bits themselves.
_FLOAT = Precision(embedding=32, query_key=32, value_output=32, mlp=32, head=32)
PRECISIONS = {
    "fp32": _FLOAT,
    "vulkan-fp16": _FLOAT,
    "coreml-fp16": _FLOAT,
    "8da8w": Precision(embedding=8, query_key=8, value_output=8, mlp=8, head=8),
    # Values and outputs are few weights, and their errors go straight into the hidden states.
    "8da4w": Precision(embedding=4, query_key=4, value_output=8, mlp=4, head=4),
}
_NOT_IMPLEMENTED = (
    "final_logit_softcapping",
    "attn_logit_softcapping",
    "use_bidirectional_attention",
)


def export(
    model: Path,
    out: Path,
    quantization: str,
    context_length: int = 1024,
    calibration: Sequence[Sequence[int]] = (),
    adapter: Path | None = None,
    int8_layers: Sequence[str] = (),
) -> Path:
    """Writes `out/model.pte`, whose method `forward` TextLLMRunner can call, and returns its path.

    model: a Hugging Face model folder with safetensors. quantization: a key of PRECISIONS, where
    8da4w is 4-bit weights and, at run time, 8-bit activations. calibration: token ids of typical
    texts of every kind the model should keep answering, to which 4-bit weights are fitted (texts of
    one kind alone may harm the others); a few thousand tokens do, and without them the weights
    are merely rounded, which costs much fidelity. adapter: a PEFT folder that is kept apart, in a
    file beside the program, which needs that, another's, or `NO_ADAPTER` to run. int8_layers:
    patterns of linear layers that 8da4w has in 8 bits; queries and keys share theirs, as gates and
    their products do. `forward`:
    tokens int64 [1, S] and the position of the first, int64 [1], to the logits of the last token,
    float32 [1, V]. Raises InputError for a model that the format cannot take.
    """
    if quantization not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise InputError(f"quantization {quantization!r} is unknown to ExecuTorch; use {known}.")
    config = loading.settings(model)
    kept = matching(int8_layers, linear_names(config))
    precision = replace(PRECISIONS[quantization], kept=kept)
    _check(model, config, quantization, context_length)
    with quiet(), torch.no_grad():
        lora = matrices(adapter, config) if adapter else {}
        lower = _Lowering(config, context_length, lora, *delegate(quantization))
        decoder = build(model, config, precision, context_length, calibration, lower, lora)
        program = torch.export.export(
            decoder,
            (torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, dtype=torch.long)),
            dynamic_shapes=({1: torch.export.Dim("length", max=context_length)}, None),
        )
        metadata = _metadata(model, config, context_length)
        edge = to_edge(program, metadata, _edge_config())
        planning = MemoryPlanningPass(alloc_graph_input=False)
        binary = edge.to_executorch(
            ExecutorchBackendConfig(memory_planning_pass=planning, external_constants=_outside)
        )
    out.mkdir(parents=True, exist_ok=True)
    if adapter:
        write(lora, out / str(FORMATS["executorch"].adapter))
        nothing = {name: torch.zeros_like(matrix) for name, matrix in lora.items()}
        write(nothing, out / NO_ADAPTER)
    path = out / "model.pte"
    with path.open("wb") as file:
        binary.write_to_file(file)
    return path


def _check(model: Path, config: Any, quantization: str, context_length: int) -> None:
    name = f"executorch-{quantization}"
    require_exportable(config.to_dict(), [name], context_length, model)
    if activation(config) not in ACTIVATIONS:
        raise InputError(
            f"{model} has {activation(config)} MLPs; ExecuTorch takes {', '.join(ACTIVATIONS)}."
        )
    for name in _NOT_IMPLEMENTED:
        if getattr(config, name, None):
            raise InputError(f"{model} sets {name}, which ExecuTorch export does not implement.")


def _metadata(model: Path, config: Any, context_length: int) -> dict[str, Any]:
    bos = {} if config.bos_token_id is None else {"get_bos_id": config.bos_token_id}
    return bos | {
        "get_max_seq_len": context_length,
        "get_max_context_len": context_length,
        "get_vocab_size": config.vocab_size,
        "get_eos_ids": stop_ids(model),
        "use_kv_cache": True,
        "use_sdpa_with_kv_cache": True,
        "enable_dynamic_shape": True,
    }


def _outside(constant: torch.fx.Node) -> str | None:
    """The file beside the program that a constant is read from, if any."""
    return "adapter" if "_lora_" in constant.name else None


def _edge_config() -> Any:
    # A new one for each call: to_edge doubles the list of operators in it.
    return EdgeCompileConfig(
        _check_ir_validity=False,
        _skip_dim_order=True,
        preserve_ops=[torch.ops.aten.linear.default],
    )


class _Lowering:
    """Turns stages into calls of a backend's graphs.

    Stages of one class differ in their weights alone, so each class is exported once and lowered
    again with the weights of every other.
    """

    def __init__(
        self,
        config: Any,
        context_length: int,
        lora: Mapping[str, Tensor],
        backend: str,
        specs: list[Any],
    ) -> None:
        self._context_length, self._backend, self._specs = context_length, backend, specs
        dim = head_dim(config)
        attended, x = (1, 3, config.num_attention_heads, dim), (1, 3, config.hidden_size)
        rope = (1, 3, 1, dim)
        self._inputs: dict[type[nn.Module], list[tuple[int, ...]]] = {
            First: [x, rope, rope],
            Middle: [attended, x, rope, rope],
            Last: [attended, x],
        }
        layers = config.num_hidden_layers
        shapes = {name: matrix.shape for name, matrix in lora.items()}
        self._lora: dict[type[nn.Module], list[Tensor]] = {
            kind: [torch.zeros(shapes[n]) for n in lora_names(stage, layers) if lora]
            for stage, kind in ((0, First), (1, Middle), (layers, Last))
        }
        self._programs: dict[type[nn.Module], tuple[Any, Any]] = {}

    def __call__(self, stage: nn.Module) -> nn.Module:
        kind = type(stage)
        if kind not in self._programs:
            self._programs[kind] = self._export(stage)
        program, outline = self._programs[kind]
        program.state_dict.update(stage.state_dict(keep_vars=True))
        lowered = to_backend(self._backend, program, self._specs)
        # Every later pass runs the program behind a call to learn the shapes of its outputs: 40 s
        # for 30 layers, were it not an outline.
        call: nn.Module = LoweredBackendModule(
            outline, self._backend, lowered.processed_bytes, [], lowered.named_data_store_output
        )
        return call

    def _export(self, stage: nn.Module) -> tuple[Any, Any]:
        tokens = tuple(torch.zeros(shape) for shape in self._inputs[type(stage)])
        lora = tuple(self._lora[type(stage)])
        length = torch.export.Dim("length", max=self._context_length)
        shapes: tuple[Any, ...] = tuple({1: length} for _ in tokens)
        fixed = tuple(None for _ in lora)
        inputs = (*tokens, *lora)
        ranges = (*shapes, fixed) if lora else shapes
        program = torch.export.export(stage, inputs, dynamic_shapes=ranges)
        outline = _Outline([tuple(y.shape[2:]) for y in stage(*inputs)])
        edge = to_edge(program, compile_config=_edge_config()).exported_program()
        for node in edge.graph.nodes:
            if is_quant(node) or is_dequant(node):
                # Part of a matrix product, not an operation by itself; partitioners say so too.
                tag_as_implicit_q_dq(node)
        return edge, torch.export.export(outline, inputs, dynamic_shapes=((*shapes, *fixed),))


class _Outline(nn.Module):
    """Tensors of the shapes that a stage puts out, [1, S, *rest]."""

    def __init__(self, rests: list[tuple[int, ...]]) -> None:
        super().__init__()
        self._rests = rests

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        x = inputs[0]
        return tuple(x.new_empty(1, x.shape[1], *rest) for rest in self._rests)
