"""Peak memory of training, predicted by term from a model's shape.

What each term is: docs/memory.md. Nothing is loaded for it, torch neither. The terms follow the
code of the trainer: what `TorchPolicy` keeps, what `TorchDecoding` allocates, and what the backward
pass of `Decoder` needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from srl_edge.models.shape import ModelShape
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.trainers.policy.packing import TOKENS_AT_ONCE
from srl_edge.trainers.policy.sampling import RETIRE_BELOW
from srl_edge.trainers.torch_backend.sizes import DECODE_BLOCK, PACKED_HEAD, VOCABULARY_CHUNK

MIB = 2**20
# Measured on Linux, torch 2.13 and transformers 5.23, with the two models of benchmarks/fit.py.
LIBRARIES, VOCABULARY_ENTRY = 408 * MIB, 1024
ONNX_LIBRARIES = 22 * MIB  # measured so too
# Share of a micro-batch's activations; glibc's heap has such holes between them.
GAPS = 0.3
# Of a CUDA context and its kernels; no GPU has confirmed it.
CONTEXT = 500 * MIB

DEQUANTIZED = "one layer, dequantized"
# A layer's sum in fp64, its adapter's part, and the sum in fp32, before it is rounded by rows.
ROUNDING, ROUNDING_BYTES = "one layer, as it is rounded", 8 + 8 + 4

Terms = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Machine:
    """What computes: `cpu` or `cuda`, bytes of a weight there, and the quantization of layers.

    quantization: none, int8 (a scale a row), nf4 (blocks of 64, their scales quantized too), or one
    of AS_SHIPPED. merged: whether a whole copy of the layers samples. onnx: whether ONNX Runtime
    runs that copy's steps.
    """

    device: str = "cpu"
    bytes: int = 4
    quantization: str = "none"
    merged: bool = True
    onnx: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """One optimizer step; all lengths in tokens.

    sharing: prompts of one trajectory, which share a trunk. prompt_tokens: of the longest prompt.
    drafts: (prompts, rows of each) of every other call of the sampler, validation's too. kl:
    whether the model without adapter is run as well. checkpointed: layers are computed again.
    """

    prompts: int
    sharing: int
    prompt_tokens: int
    group_size: int
    new_tokens: int
    micro_batch_tokens: int
    lora_rank: int = 16
    kl: bool = False
    checkpointed: bool = False
    sampled: bool = True
    drafts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """Bytes by term of the two phases, each at its highest moment."""

    sampling: Terms
    training: Terms

    @property
    def peak(self) -> int:
        """Bytes of the larger phase."""
        return max(sum(self.sampling.values()), sum(self.training.values()))


def predict(shape: ModelShape, work: Work, machine: Machine) -> Prediction:
    """Peak memory of one step of training, in bytes; weights being read are not counted."""
    both = _standing(shape, work, machine)
    calls = ((work.prompts, work.group_size), *work.drafts) if work.sampled else work.drafts
    moments = [m for call in calls for m in _sampling(shape, work, machine, *call)]
    sampling = max(moments, key=lambda terms: sum(terms.values()), default={})
    return Prediction({**both, **sampling}, {**both, **_training(shape, work, machine)})


def _standing(shape: ModelShape, work: Work, machine: Machine) -> dict[str, int]:
    """What is there all the time."""
    adapter = shape.adapter_parameters(work.lora_rank)
    ends = shape.embedding_weights
    if machine.quantization == "8da4w":  # what is looked up, what is multiplied by, and that whole
        ends = 3 * shape.vocabulary * shape.width
    elif machine.quantization in AS_SHIPPED and shape.sandwich:  # scaled before it is looked up
        ends = 2 * shape.vocabulary * shape.width
    terms = {
        "frozen layers": _layers(shape, machine),
        "embedding and output layer": ends * machine.bytes,
        "adapter": 4 * adapter,
        "optimizer (two moments)": 8 * adapter,
    }
    if machine.quantization in AS_SHIPPED:
        terms["fitted rounding"] = _fitted(shape, machine.quantization)
    if machine.device != "cpu":
        return terms | {"CUDA context": CONTEXT}
    libraries = LIBRARIES + (ONNX_LIBRARIES if machine.onnx else 0)
    tokenizer = VOCABULARY_ENTRY * shape.vocabulary
    return terms | {"python, torch and its libraries": libraries, "tokenizer": tokenizer}


def _layers(shape: ModelShape, machine: Machine) -> int:
    match machine.quantization:
        case "nf4":  # 4 bits, a byte a block of 64, 4 bytes a block of 256 blocks
            weights = shape.linear_weights * (1 / 2 + 1 / 64 + 4 / (64 * 256))
        case "int8":
            rows = shape.layers * sum(outputs for _, outputs, _ in shape.projections)
            weights = shape.linear_weights + 4 * rows
        case kind:
            weights = shape.linear_weights * machine.bytes * (2 if kind in AS_SHIPPED else 1)
    return int(weights) + 4 * shape.small_weights


def _fitted(shape: ModelShape, quantization: str) -> int:
    """A square of each input's width and a scale for each 32 weights, in fp32."""
    qkv, o, *mlp = ((inputs, inputs * outputs) for inputs, outputs, _ in shape.projections)
    layers = [qkv, *mlp] if quantization == "8da4w" else [qkv, o, *mlp]
    return 4 * shape.layers * sum(width**2 + weights // 32 for width, weights in layers)


def _sampling(
    shape: ModelShape, work: Work, machine: Machine, prompts: int, group: int
) -> list[dict[str, int]]:
    """Terms at the end of the prefill, as rows leave, and at the last token."""
    size, rows = machine.bytes, prompts * group
    token = 2 * shape.kv_heads * shape.head_dim * shape.layers * size
    prompt = prompts * work.prompt_tokens * token
    places = -(-(work.new_tokens - 1) // DECODE_BLOCK) * DECODE_BLOCK
    # One layer's keys are there twice while places are added.
    own = rows * places * (token + token // (2 * shape.layers))
    copies = {}
    if machine.quantization in AS_SHIPPED:
        copies[ROUNDING] = _widest(shape) * ROUNDING_BYTES
    elif machine.merged:
        copies["merged layers that sample"] = shape.linear_weights * size
    elif machine.quantization != "none":
        copies[DEQUANTIZED] = _widest(shape) * size
    head = shape.vocabulary * shape.width * size
    if machine.device == "cpu" and (not machine.onnx or head <= PACKED_HEAD):
        copies["output layer, packed"] = head
    # A trunk's keys and values are let go when the next one's are there.
    read = min(2, -(-prompts // work.sharing)) * work.prompt_tokens
    solving = group == 1  # step by step: of each prompt what the step before has not read
    if solving:
        read = max(read, min(2 * TOKENS_AT_ONCE, prompts * work.prompt_tokens))
    prefill = {
        "keys and values of prompts": prompt * (2 if solving else 1),  # the step before's too
        "activations": read * _kept_heads(shape) * shape.layers * size,
        "logits": prompts * shape.vocabulary * size,
    }
    decode = {
        "keys and values of prompts": prompt,
        "keys and values of replies": own,
        "logits": rows * shape.vocabulary * (2 * size + 4),
        "activations": 4 * rows * shape.heads * (work.prompt_tokens + places) * size,
    }
    moments = [copies | prefill, copies | decode]
    if solving:  # all prompts stay for the next step, with rows or without
        left = {name: int(size * RETIRE_BELOW) for name, size in decode.items()}
        left["keys and values of prompts"] += prompt
        moments.append(copies | left)
    return moments


def _training(shape: ModelShape, work: Work, machine: Machine) -> dict[str, int]:
    """Terms where the backward pass of a micro-batch begins."""
    size, trunk = machine.bytes, work.prompt_tokens - 1
    row = work.new_tokens + 1
    rows = max(1, min(work.micro_batch_tokens // row, work.sharing * work.group_size))
    tokens = rows * row
    inside = kept = _kept(shape, work.lora_rank, size)
    beside = 0
    if work.checkpointed:  # a layer's input; of the trunk, keys and values too
        kept = shape.layers * shape.width * size
        beside = shape.layers * _kept_heads(shape) * size
    heads = trunk * 2 * shape.kv_heads * shape.head_dim * shape.layers
    terms = {
        "gradients of the adapter": 4 * shape.adapter_parameters(work.lora_rank),
        "activations of the prompts' trunk": trunk * (kept + beside),
        "activations of a micro-batch": tokens * kept,
        "gradients of the trunk's keys and values": heads * (4 + size),
        "logits, or one layer's backward pass": max(
            _vocabulary_chunk(shape, tokens, size), _one_layer(shape, tokens, trunk, row, machine)
        ),
    }
    if work.checkpointed:
        terms["activations of one layer"] = max(trunk, tokens) * inside // shape.layers
    if machine.quantization not in ("none", *AS_SHIPPED):
        terms[DEQUANTIZED] = _widest(shape) * size
    if machine.device == "cpu":
        gaps = int(GAPS * tokens * inside)
        if machine.quantization in AS_SHIPPED:  # where inputs were before their rounding
            gaps += tokens * size * shape.layers * sum(inputs for inputs, _, _ in shape.projections)
        terms["gaps that the allocator leaves"] = gaps
    if work.kl:
        reference = (trunk + tokens) * _kept_heads(shape) * shape.layers * size
        terms["keys and values without adapter"] = reference
    return terms


def _widest(shape: ModelShape) -> int:
    """Weights of the largest layers that are multiplied by as one."""
    return max(inputs * outputs for inputs, outputs, _ in shape.projections)


def _kept(shape: ModelShape, rank: int, size: int) -> int:
    """Bytes that the backward pass keeps of one token, in all layers."""
    heads = (shape.heads + shape.kv_heads) * shape.head_dim
    ranks = rank * sum(count for _, _, count in shape.projections)
    # Two residuals and two norms' outputs; queries, keys and values, queries and keys rotated, and
    # attention's output; gate and up, and their product.
    values = 4 * shape.width + 3 * heads + 3 * shape.inner + ranks
    scales = 2 + shape.heads
    if shape.sandwich:
        values, scales = values + 2 * shape.width, scales + 2
    if shape.head_norms:
        scales += shape.heads + shape.kv_heads
    return shape.layers * (values * size + 4 * scales)


def _kept_heads(shape: ModelShape) -> int:
    """Values of one token in one layer that live as long as its keys and values do.

    The values are a view of what the projection gave; the keys are one of queries and keys rotated
    together, where these are not normalized.
    """
    rotated = shape.kv_heads + (0 if shape.head_norms else shape.heads)
    return (shape.heads + 2 * shape.kv_heads + rotated) * shape.head_dim


def _vocabulary_chunk(shape: ModelShape, tokens: int, size: int) -> int:
    """Logits, and where those are rounded, what becomes of them in fp32."""
    return min(VOCABULARY_CHUNK, tokens) * shape.vocabulary * (4 if size == 4 else 6)


def _one_layer(shape: ModelShape, tokens: int, trunk: int, row: int, machine: Machine) -> int:
    """The larger of what the MLP's backward pass and attention's work with."""
    seen = trunk + row
    # Plain products keep six of attention's weights at a time, the fused kernel's gradient two.
    fused = machine.device == "cpu" and (shape.window is None or seen <= shape.window)
    return tokens * machine.bytes * max(6 * shape.inner, (2 if fused else 6) * shape.heads * seen)
