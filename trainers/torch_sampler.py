"""Sampling many completions: shared prefill, preallocated caches, finished rows retired."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from srl_edge.trainers.decode_attention import DecodeAttention
from srl_edge.trainers.decoder import Decoder, Linear
from srl_edge.trainers.row_attention import KeysValues, RowAttention
from srl_edge.trainers.shared_prefix import pack, run_rows, run_trunk
from srl_edge.types import Rollout

BLOCK = 256  # vocabulary entries that are summed before one is chosen
RETIRE_BELOW = 0.75  # compact the batch when that leaves at most this share of its slots


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


@torch.inference_mode()
def sample(
    decoder: Decoder, head: Linear, prompts: Sequence[tuple[int, ...]], group_size: int,
    max_new: int, temperature: float, stop_ids: Sequence[int], seed: int, decode: Any,
) -> list[list[Rollout]]:  # fmt: skip
    """Sample `group_size` completions of each prompt (greedy at temperature 0).

    head: projection to the vocabulary; decode: ids -> text. Finished rows leave the batch, so the
    longest completion does not keep the others' slots busy.
    """
    device = decoder.norm.weight.device
    caches, hidden = prefill(decoder, prompts, device)
    lengths = torch.tensor([len(p) for p in prompts], device=device)
    attention = DecodeAttention(caches, lengths, group_size, max_new)
    generator = torch.Generator(device).manual_seed(seed)
    stops = torch.tensor(list(stop_ids), device=device)
    total = len(prompts) * group_size
    tokens = torch.zeros(total, max_new, dtype=torch.long, device=device)
    logprobs = torch.zeros(total, max_new, device=device)
    ends = torch.full((total,), max_new, device=device)
    finished = torch.zeros(total, dtype=torch.bool, device=device)
    rows = torch.arange(total, device=device).view(len(prompts), group_size)
    hidden = hidden.repeat_interleave(group_size, 0)
    for step in range(max_new):
        ids, chosen = draw(head(hidden).float(), temperature, generator)
        flat = rows.flatten()
        alive = ~finished[flat]
        tokens[flat[alive], step] = ids[alive]
        logprobs[flat[alive], step] = chosen[alive]
        done = alive & torch.isin(ids, stops)
        finished[flat[done]] = True
        ends[flat[done]] = step + 1
        left = ~finished[rows]
        if step + 1 == max_new or not left.any():
            break
        attention.advance(step)
        prompts_left = left.any(1).nonzero().flatten()
        kept = left[prompts_left]
        if len(kept) * int(kept.sum(1).max()) < RETIRE_BELOW * left.numel():
            # Padding slots repeat a finished row: `alive` above ignores what they draw.
            order = kept.int().sort(dim=1, descending=True, stable=True).indices
            order = order[:, : int(kept.sum(1).max())]
            slot = prompts_left[:, None] * rows.shape[1] + order
            attention.keep(prompts_left, order)
            rows = rows[prompts_left[:, None], order]
            ids = ids[slot.flatten()]
        hidden = decoder(ids, attention)
    groups = []
    for p, prompt in enumerate(prompts):
        group = []
        for g in range(group_size):
            i = p * group_size + g
            end = int(ends[i])
            completion = tokens[i, :end].tolist()
            text = decode(completion[:-1] if finished[i] else completion)
            group.append(
                Rollout(prompt, tuple(completion), tuple(logprobs[i, :end].tolist()), text,
                        bool(finished[i]))
            )  # fmt: skip
        groups.append(group)
    return groups


def draw(
    logits: torch.Tensor, temperature: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row of logits [R, V] and its log-probability under what it was drawn from.

    Greedy tokens carry their log-probability at temperature 1.
    """
    if temperature not in (0, 1):
        logits = logits / temperature
    if temperature == 0:
        ids = logits.argmax(-1)
        return ids, torch.log_softmax(logits, -1).gather(1, ids[:, None])[:, 0]
    # Inverse of the cumulative distribution, first over blocks, then inside one: one random
    # number a row and one pass, where Gumbel races need a number a vocabulary entry.
    probs = torch.softmax(logits, -1)
    rows = torch.arange(len(probs), device=probs.device)
    blocks = F.pad(probs, (0, -probs.shape[1] % BLOCK)).view(len(probs), -1, BLOCK)
    cumulative = blocks.sum(-1).cumsum(-1)
    at = torch.rand(len(probs), 1, generator=generator, device=probs.device) * cumulative[:, -1:]
    block = _first_above(cumulative, at)
    at = at[:, 0] - F.pad(cumulative, (1, 0))[rows, block]
    inside = blocks[rows, block].cumsum(-1)
    ids = block * BLOCK + _first_above(inside, at[:, None])
    # Rounding may point at an entry of no probability, or beyond the last.
    ids = ids.clamp(max=probs.shape[1] - 1)
    chosen = probs[rows, ids]
    return ids, chosen.clamp(min=torch.finfo(probs.dtype).tiny).log()


def _first_above(cumulative: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Index of the first entry of each row above `at` [R, 1], or of the row's last."""
    found = torch.searchsorted(cumulative, at, right=True)[:, 0]
    return found.clamp(max=cumulative.shape[1] - 1)
