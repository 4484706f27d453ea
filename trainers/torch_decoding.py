"""Decoding on PyTorch: shared prefixes are prefilled once, caches are allocated once."""

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from srl_edge.trainers.decode_attention import DecodeAttention
from srl_edge.trainers.decoder import Decoder, Linear
from srl_edge.trainers.row_attention import KeysValues, RowAttention
from srl_edge.trainers.shared_prefix import pack, run_rows, run_trunk


class TorchDecoding:
    """Implements `Decoding` with a decoder and its projection to the vocabulary."""

    def __init__(self, decoder: Decoder, head: Linear) -> None:
        self.decoder, self.head = decoder, head
        self.device = decoder.norm.weight.device

    def start(
        self, prompts: Sequence[tuple[int, ...]], group_size: int, max_new: int
    ) -> torch.Tensor:
        caches, hidden = prefill(self.decoder, prompts, self.device)
        lengths = torch.tensor([len(p) for p in prompts], device=self.device)
        self.attention = DecodeAttention(caches, lengths, group_size)
        return self.head(hidden)

    def advance(self, ids: torch.Tensor, step: int) -> torch.Tensor:
        self.attention.advance(step)
        return self.head(self.decoder(ids, self.attention))

    def keep(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        self.attention.keep(prompts, rows)

    def finish(self) -> None:
        del self.attention


def prefill(
    decoder: Decoder, prompts: Sequence[tuple[int, ...]], device: torch.device
) -> tuple[KeysValues, torch.Tensor]:
    """Run prompts once, shared prefixes once; return padded caches and last hidden states.

    Returns a (k, v) [P, Hkv, T, D] for each layer, and hidden states [P, d] after each prompt's
    last token.
    """
    caches: list[KeysValues] = [[] for _ in prompts]
    last: list[torch.Tensor] = [torch.empty(0)] * len(prompts)
    for packed in pack(prompts, [()] * len(prompts), gate=1.0):
        trunk = run_trunk(decoder, packed, device)
        rows = RowAttention(packed.rows, packed.bounds, trunk, device)
        hidden = run_rows(decoder, rows)
        end = 0
        for row, owner in enumerate(packed.owners):
            start, end = end, end + len(packed.rows[row])
            bound = packed.bounds[row]
            caches[owner] = [
                (torch.cat([trunk_k[:bound], k[start:end]]),
                 torch.cat([trunk_v[:bound], v[start:end]]))
                for (trunk_k, trunk_v), (k, v) in zip(trunk, rows.kept.values(), strict=True)
            ]  # fmt: skip
            last[owner] = hidden[end - 1]
    padded = []
    for layer in range(len(decoder.layers)):
        sides = [
            pad_sequence([cache[layer][side] for cache in caches], batch_first=True)
            for side in (0, 1)
        ]
        padded.append(
            (sides[0].transpose(1, 2).contiguous(), sides[1].transpose(1, 2).contiguous())
        )
    return padded, torch.stack(last)
