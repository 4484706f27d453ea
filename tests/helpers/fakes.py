"""A policy that is a table, so that the loop runs in milliseconds."""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from srl_edge.method.types import Rollout, Sample
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.policy.packing import PrefixCache


class CharacterTokenizer:
    """Token ids are code points."""

    chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    special_tokens_map: ClassVar[dict[str, str]] = {}

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return [ord(c) for c in text]


class TablePolicy:
    """Chooses among fixed replies by weight; the gradient moves the weights."""

    def __init__(self, replies: Sequence[str]) -> None:
        self.tokenizer = CharacterTokenizer()
        self.stop_ids = [0]
        self.replies = list(replies)
        self.weights = [1.0] * len(replies)
        self.gradient = [0.0] * len(replies)
        self.sampled = 0

    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> list[list[Rollout]]:
        rng = random.Random(seed)
        self.sampled += len(prompts) * group_size
        groups = []
        for prompt in prompts:
            if temperature == 0:
                chosen = [max(self.replies, key=lambda r: self.weights[self.replies.index(r)])]
            else:
                chosen = rng.choices(self.replies, self.weights, k=group_size)
            groups.append(
                [
                    Rollout(prompt, (*map(ord, text), 0), (-1.0,) * (len(text) + 1), text, True)
                    for text in chosen
                ]
            )
        return groups

    def forward_backward(self, groups: Sequence[Sequence[Sample]], loss: Loss) -> dict[str, float]:
        for sample in (s for group in groups for s in group):
            text = "".join(map(chr, sample.completion_ids[:-1]))
            if text in self.replies:
                self.gradient[self.replies.index(text)] += sample.advantage
        return {"loss": sum(self.gradient), "token_ratio": 1.0, "num_tokens": 1.0}

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        norm = sum(abs(g) for g in self.gradient)
        self.weights = [
            max(0.05, w + learning_rate * g)
            for w, g in zip(self.weights, self.gradient, strict=True)
        ]
        self.gradient = [0.0] * len(self.replies)
        return norm

    def drop_gradient(self) -> None:
        self.gradient = [0.0] * len(self.replies)

    def finite(self) -> bool:
        return all(map(math.isfinite, self.weights))

    def divergence(self, texts: Sequence[Sequence[int]]) -> float:
        return max(self.weights) - 1.0

    def save(self, folder: Path) -> None:
        self.save_adapter(folder / "adapter")

    def load(self, folder: Path) -> None:
        self.weights = json.loads((folder / "adapter" / "weights.json").read_text())

    def load_adapter(self, folder: Path) -> None:
        self.weights = json.loads((folder / "weights.json").read_text())

    def save_adapter(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.json").write_text(json.dumps(self.weights))

    def fit_rounding(self, texts: Sequence[Sequence[int]]) -> None:
        raise AssertionError
