"""Sampling many completions: shared prefill, preallocated caches, finished rows retired."""

from collections.abc import Sequence
from typing import Any

import torch

from srl_edge.trainers.shared_prefix import Pack, PackedAttention, pack
from srl_edge.types import Rollout

RETIRE_BELOW = 0.75  # compact the batch when that leaves at most this share of its slots


class DecodeAttention:
    """Attention of one new token a row to its prompt (shared by a group) and its own tokens.

    Rows form a grid [P, G]. Prompt keys and values: [P, Hkv, T, D] a layer, padded, with `seen`
    [P, T] marking real tokens; own keys and values: [P, G, Hkv, max_new, D], filled in place.
    """

    def __init__(
        self, prompts: list[tuple[torch.Tensor, torch.Tensor]], lengths: torch.Tensor, group: int,
        max_new: int,
    ) -> None:  # fmt: skip
        count, kv_heads, width, dim = prompts[0][0].shape
        self.prompts = prompts
        self.lengths = lengths
        self.step = 0
        self.own = [
            (k.new_empty(count, group, kv_heads, max_new, dim),
             k.new_empty(count, group, kv_heads, max_new, dim))
            for k, _ in prompts
        ]  # fmt: skip
        self._prompt_mask(width)

    def _prompt_mask(self, width: int) -> None:
        at = torch.arange(width, device=self.lengths.device)
        self.distance = (self.lengths[:, None] - at)[:, None, None]  # to the first new token
        self.hidden = self.distance <= 0

    @property
    def positions(self) -> torch.Tensor:
        """Position of the token being decoded, [P * G, 1]."""
        return (self.lengths + self.step).repeat_interleave(self.own[0][0].shape[1])[:, None]

    def __call__(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scaling: float,
        window: int | None,
    ) -> torch.Tensor:  # fmt: skip
        (prompt_k, prompt_v), (own_k, own_v) = self.prompts[layer], self.own[layer]
        count, group, kv_heads, _, dim = own_k.shape
        heads, t, now = q.shape[1], prompt_k.shape[2], self.step + 1
        shared = heads // kv_heads
        own_k[:, :, :, self.step] = k.view(count, group, kv_heads, dim)
        own_v[:, :, :, self.step] = v.view(count, group, kv_heads, dim)
        grouped = (q * scaling).view(count, group, kv_heads, shared, dim)
        to_prompt = (
            grouped.transpose(1, 2).reshape(count, kv_heads, group * shared, dim)
            @ prompt_k.transpose(2, 3)
        ).float()
        hidden = self.hidden
        to_own = (grouped @ own_k[:, :, :, :now].transpose(3, 4)).float()
        if window is not None:
            hidden = hidden | (self.distance + self.step >= window)
            own_distance = self.step - torch.arange(now, device=q.device)
            to_own = to_own.masked_fill(own_distance >= window, float("-inf"))
        to_prompt = to_prompt.masked_fill(hidden, float("-inf"))
        to_prompt = to_prompt.view(count, kv_heads, group, shared, t).transpose(1, 2)
        weights = torch.softmax(torch.cat([to_prompt, to_own], -1), -1).to(q.dtype)
        on_prompt = (
            weights[..., :t].transpose(1, 2).reshape(count, kv_heads, group * shared, t) @ prompt_v
        )
        on_prompt = on_prompt.view(count, kv_heads, group, shared, dim).transpose(1, 2)
        out = on_prompt + weights[..., t:] @ own_v[:, :, :, :now]
        return out.reshape(count * group, 1, heads, dim)

    def keep(self, prompts: torch.Tensor, rows: torch.Tensor) -> None:
        """Keep prompts [P'] and, of each, rows [P', G']; slots may repeat as padding."""
        self.lengths = self.lengths[prompts]
        width = int(self.lengths.max())
        self.prompts = [(k[prompts, :, :width], v[prompts, :, :width]) for k, v in self.prompts]
        kept = []
        for k, v in self.own:
            new = (k.new_empty(*rows.shape, *k.shape[2:]), k.new_empty(*rows.shape, *k.shape[2:]))
            for old, into in zip((k, v), new, strict=True):
                into[:, :, :, : self.step] = old[prompts[:, None], rows, :, : self.step]
            kept.append(new)
        self.own = kept
        self._prompt_mask(width)


def prefill(
    model: Any, prompts: Sequence[tuple[int, ...]], device: torch.device
) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], torch.Tensor]:
    """Run prompts once, shared prefixes once; return padded caches and last hidden states.

    Returns a (k, v) [P, Hkv, T, D] for each layer, and hidden states [P, d] after each prompt's
    last token.
    """
    caches: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in prompts]
    last: list[torch.Tensor] = [torch.empty(0)] * len(prompts)
    for packed in pack(prompts, [()] * len(prompts), gate=1.0):
        attention = PackedAttention(packed, device, keep=True)
        hidden = run(model, packed, attention)
        layers = [attention.kept[i] for i in sorted(attention.kept)]
        for row, owner in enumerate(packed.owners):
            path = row_path(packed, row, device)
            caches[owner] = [(k[:, path], v[:, path]) for k, v in layers]
            last[owner] = hidden[path[-1]]
    width = max(map(len, prompts))
    padded = []
    for layer in range(len(caches[0])):
        sides = []
        for side in (0, 1):
            first = caches[0][layer][side]
            out = first.new_zeros(len(prompts), first.shape[0], width, first.shape[2])
            for i, cache in enumerate(caches):
                out[i, :, : len(prompts[i])] = cache[layer][side]
            sides.append(out)
        padded.append((sides[0], sides[1]))
    return padded, torch.stack(last)


def run(model: Any, packed: Pack, attention: PackedAttention) -> torch.Tensor:
    """Hidden states [N, d] of a packed sequence; model is a decoder without its projection."""
    ids = torch.tensor(
        [[*packed.trunk, *(i for row in packed.rows for i in row)]],
        device=attention.positions.device,
    )
    out = model(
        input_ids=ids,
        position_ids=attention.positions,
        use_cache=False,
        shared_prefix=attention,
    )
    hidden: torch.Tensor = out.last_hidden_state[0]
    return hidden


def row_path(packed: Pack, row: int, device: torch.device) -> torch.Tensor:
    """Packed positions of one whole sequence: its part of the trunk, then its row."""
    start = packed.row_start(row)
    return torch.cat(
        [torch.arange(packed.bounds[row]), torch.arange(start, start + len(packed.rows[row]))]
    ).to(device)


@torch.inference_mode()
def sample(
    model: Any, head: torch.Tensor, prompts: Sequence[tuple[int, ...]], group_size: int,
    max_new: int, temperature: float, stop_ids: Sequence[int], seed: int, decode: Any,
) -> list[list[Rollout]]:  # fmt: skip
    """Sample `group_size` completions of each prompt (greedy at temperature 0).

    model: decoder without its projection; head [V, d]; decode: ids -> text. Finished rows leave the
    batch, so the longest completion does not keep the others' slots busy.
    """
    device = head.device
    caches, hidden = prefill(model, prompts, device)
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
        ids, chosen = draw((hidden @ head.T).float(), temperature, generator)
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
        attention.step = step
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
        out = model(
            input_ids=ids[:, None],
            position_ids=attention.positions,
            use_cache=False,
            shared_prefix=attention,
        )
        hidden = out.last_hidden_state[:, 0]
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
    if temperature > 0:
        logits = logits / temperature
    total = logits.logsumexp(-1, keepdim=True)
    if temperature > 0:
        # Inverse of the cumulative distribution: one random number a row, where Gumbel or
        # exponential races need one a vocabulary entry.
        cumulative = torch.exp(logits - total).cumsum(-1)
        at = torch.rand(len(logits), 1, generator=generator, device=logits.device)
        ids = torch.searchsorted(cumulative, at * cumulative[:, -1:])[:, 0]
        ids = ids.clamp(max=logits.shape[1] - 1)
    else:
        ids = logits.argmax(-1)
    return ids, logits.gather(1, ids[:, None])[:, 0] - total[:, 0]
