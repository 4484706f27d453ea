"""Decoding on PyTorch: shared prefixes are prefilled once, caches are allocated once."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch.nn import functional as F

from srl_edge.trainers.policy.packing import PrefixCache, gathered, pack, passes
from srl_edge.trainers.policy.sampling import Drawn, Ids
from srl_edge.trainers.torch_backend.attention.decode import DecodeAttention
from srl_edge.trainers.torch_backend.attention.rows import KeysValues, RowAttention, SideBySide
from srl_edge.trainers.torch_backend.decoder import Decoder, Linear
from srl_edge.trainers.torch_backend.decoding.draw import Draws, one_thread


class Step(Protocol):
    """One more token a row, where something else than the decoder's own forward pass does it."""

    def __call__(
        self, tokens: torch.Tensor, attention: DecodeAttention, divisor: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [R, V] over `divisor`, and their softmax; the next call may reuse them.

        Keys and values of the tokens [R] are written into the caches.
        """

    def let_go(self) -> None:
        """Let go of the caches."""


class TorchDecoding:
    """Implements `Decoding` with a decoder and its projection to the vocabulary.

    step: what runs the tokens after the prompt; without it, the decoder does.
    """

    def __init__(self, decoder: Decoder, head: Linear, step: Step | None = None) -> None:
        self.decoder, self.head, self.step = decoder, head, step
        self.device = decoder.norm.weight.device

    @torch.inference_mode()
    def start(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> Drawn:
        caches, hidden = prefill(self.decoder, prompts, self.device, prefix_cache)
        lengths = torch.tensor([len(p) for p in prompts], device=self.device)
        self.attention = DecodeAttention(caches, lengths, group_size, max_new - 1)
        logits = self.head(hidden).repeat_interleave(group_size, 0)
        self.draws = Draws(logits, temperature, seed)
        return self.draws(logits)

    @torch.inference_mode()
    def advance(self, ids: Ids, step: int) -> Drawn:
        tokens = torch.from_numpy(ids).to(self.device)
        if self.step:
            with one_thread():
                self.attention.advance(step)
                return self.draws.of(*self.step(tokens, self.attention, self.draws.divisor))
        self.attention.advance(step)
        return self.draws(self.head(self.decoder(tokens, self.attention)))

    @torch.inference_mode()
    def keep(self, prompts: Ids, rows: Ids) -> None:
        if self.step:
            self.step.let_go()  # else what rows leave behind would stay with it
        self.attention.keep(*(torch.from_numpy(x).to(self.device) for x in (prompts, rows)))

    def finish(self) -> None:
        if self.step:
            self.step.let_go()
        del self.attention, self.draws


@torch.no_grad()
def merged_decoding(decoder: Decoder, head: torch.Tensor) -> TorchDecoding:
    """Decoding from a copy of the weights that has the adapter merged in.

    No LoRA costs a token, nor is a weight read back from its codes. decoder: its linear layers are
    `LoraLinear`; head [V, d]. In fp32 on a CPU, ONNX Runtime runs the steps where it is installed.
    """
    if step := _onnx_step(decoder, head):
        return TorchDecoding(decoder, lambda hidden: F.linear(hidden, head), step)
    merged = decoder.with_linears(lambda x: Plain(x.merged_weight(), x.bias))  # type: ignore[attr-defined]
    return TorchDecoding(merged, Plain(head, None))


def _onnx_step(decoder: Decoder, head: torch.Tensor) -> Step | None:
    if head.device.type != "cpu" or head.dtype != torch.float32:
        return None
    try:
        from srl_edge.trainers.torch_backend.decoding.onnx_step import OnnxStep
    except ImportError:
        return None
    return OnnxStep(decoder, head)


def prefill(
    decoder: Decoder,
    prompts: Sequence[tuple[int, ...]],
    device: torch.device,
    prefix_cache: PrefixCache | None = None,
) -> tuple[KeysValues, torch.Tensor]:
    """Run prompts once, shared prefixes once, and those of the prefix cache not at all.

    Returns a (k, v) [P, Hkv, T, D] for each layer, padded, and hidden states [P, d] after each
    prompt's last token.
    """
    read = {} if prefix_cache is None else prefix_cache
    caches: KeysValues = []
    last = [torch.empty(0)] * len(prompts)
    packs = gathered(pack(prompts, [()] * len(prompts), 1.0, read), prompts, read=read)
    for together in passes(packs, read):
        fresh = iter(decoder.keys_values([p.trunk for p in together if p.trunk not in read]))
        trunks = [read[p.trunk] if p.trunk in read else next(fresh) for p in together]
        parts = zip(together, trunks, strict=True)
        rows = SideBySide([RowAttention(p.rows, p.bounds, trunk, device) for p, trunk in parts])
        hidden = decoder(rows.ids, rows)
        caches = caches or _empty(trunks[0], len(prompts), max(map(len, prompts)))
        start = 0
        for packed, trunk in zip(together, trunks, strict=True):
            for owner, bound, here in packed.spans(start):
                own = rows.kept.values()
                for places, of_trunk, of_row in zip(caches, trunk, own, strict=True):
                    for cache, before, after in zip(places, of_trunk, of_row, strict=True):
                        cache[owner, :, :bound] = before[:bound].transpose(0, 1)
                        cache[owner, :, bound : len(prompts[owner])] = after[here].transpose(0, 1)
                last[owner] = hidden[here.stop - 1]
                start = here.stop
    read.clear()
    for index, prompt in enumerate(prompts if prefix_cache is not None else ()):
        read[prompt] = [
            (k[index, :, : len(prompt)].transpose(0, 1), v[index, :, : len(prompt)].transpose(0, 1))
            for k, v in caches
        ]
    return caches, torch.stack(last)


def _empty(like: KeysValues, prompts: int, width: int) -> KeysValues:
    """Zeros [P, Hkv, T, D] for each layer's keys and values."""
    (_, kv_heads, dim), new = like[0][0].shape, like[0][0].new_zeros
    shape = prompts, kv_heads, width, dim
    return [(new(shape), new(shape)) for _ in like]


class Plain:
    """A frozen linear layer, its weight laid out once for many products with few rows."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        # oneDNN's blocked layout saves a third of the time where bfloat16 is native. In fp32 two
        # threads share its products evenly, as they do not share plain ones with few rows: the
        # projection to the vocabulary takes 0.4 of the time. There is no public call for it.
        self.packed = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()
        if weight.dtype == torch.bfloat16:  # it has no products of a CPU without AVX-512
            self.packed = self.packed and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, 64) if self.packed else weight
        self.bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if not self.packed:
            return F.linear(x, self.weight, self.bias)
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, "none", [], ""
        )
        return out
