"""Settings of an update, with a policy whose gradient is that of the loss it is given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from srl_edge.method.algorithm import weighted_sum
from srl_edge.method.types import Sample
from srl_edge.trainers.loop.train import train
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.policy.objective import Part, add, objective, over_packs, watched
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, GOOD, make_run, rows


class LogprobPolicy(TablePolicy):
    """Each reply has a number that is the log-probability of each of its tokens."""

    def __init__(self, replies: Sequence[str]) -> None:
        super().__init__(replies)
        self.logprobs = torch.full((len(replies),), -1.0, requires_grad=True)  # as it samples
        self.gradients: list[list[float]] = []
        self.clipped: list[float] = []

    def forward_backward(self, groups: Sequence[Sequence[Sample]], loss: Loss) -> dict[str, float]:
        metrics = over_packs(groups, loss, self._backward)
        self.clipped.append(metrics["clip_ratio/region_mean"])
        return metrics

    def _backward(self, parts: Sequence[Part], loss: Loss, total: int) -> dict[str, float]:
        ((packed, group),) = parts
        sums = {"loss": 0.0, "entropy": 0.0}
        for sample in (group[i] for i in packed.owners):
            reply = self.replies.index("".join(map(chr, sample.completion_ids[:-1])))
            mask = torch.ones(1, len(sample.completion_ids))
            logprobs = self.logprobs[reply] * mask
            before, advantage = torch.tensor([sample.old_logprobs]), sample.advantage * mask[:, :1]
            now = logprobs.detach()
            wanted = objective(torch, loss, logprobs, now, before, advantage, None)
            value = -weighted_sum(wanted, mask, loss.by_sequence) / total
            value.backward()  # type: ignore[no-untyped-call]
            add(sums, watched(torch, loss, now, before, advantage, None, mask))
        return sums

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        assert self.logprobs.grad is not None
        self.gradients.append(self.logprobs.grad.tolist())
        norm = float(self.logprobs.grad.norm())
        self.logprobs.data -= learning_rate * self.logprobs.grad
        self.logprobs.grad = None
        return norm


def updated(run: Path, *replies: str, **settings: Any) -> LogprobPolicy:
    """A policy after one step of an SRL stage."""
    made = make_run(run, steps=1, **settings)
    policy = LogprobPolicy(replies or (GOOD, BAD))
    train(made.model_copy(update={"stages": made.stages[1:]}), run, policy)
    return policy


def test_the_second_pass_over_a_batch_is_clipped_where_the_first_has_moved_far(
    tmp_path: Path,
) -> None:
    far = updated(tmp_path / "far", learning_rate=5.0, updates_per_batch=2)
    first, second = far.gradients
    # The ratio of a good reply is above 1.2 now, and that of a bad one below 0.8.
    assert min(map(abs, first)) > 0.1 and second == [0.0, 0.0]
    assert far.clipped == [0.0, 1.0]
    (row,) = [row for row in rows(tmp_path / "far") if "loss" in row]
    assert row["clip_ratio/region_mean"] == 0.5  # the mean of both passes
    near = updated(tmp_path / "near", learning_rate=0.01, updates_per_batch=2)
    assert near.clipped == [0.0, 0.0]
    assert near.gradients[1] == pytest.approx(near.gradients[0], rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "learns"),
    [(0.2, 9.0, (True, False)), (0.99, 0.2, (False, True)), (0.99, 9.0, (True, True))],
)
def test_good_replies_have_the_upper_clip_and_bad_ones_the_lower(
    tmp_path: Path, low: float, high: float, learns: tuple[bool, bool]
) -> None:
    settings = {"updates_per_batch": 2, "clip_low": low, "clip_high": high}
    policy = updated(tmp_path, learning_rate=1.0, **settings)
    good, bad = policy.gradients[1]
    assert (good < 0, bad > 0) == learns
    assert (policy.clipped[1] > 0) == (False in learns)


def test_a_mean_over_tokens_gives_long_replies_more_weight(tmp_path: Path) -> None:
    long = BAD.replace("hm", "hm " * 100)  # the same step after a longer thought
    weight = {}
    for aggregation in ("sequence", "token"):
        policy = updated(tmp_path / aggregation, GOOD, BAD, long, aggregation=aggregation)
        ((_, of_short, of_long),) = policy.gradients
        assert of_short > 0 and of_long > 0  # both are to become less likely
        weight[aggregation] = of_long / of_short
    lengths = (len(long) + 1) / (len(BAD) + 1)
    assert weight["token"] == pytest.approx(weight["sequence"] * lengths, rel=1e-4)
