"""The loop, run by a policy that is a table."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srl_edge import owned
from srl_edge.data.trajectories import write_jsonl
from srl_edge.errors import StageError
from srl_edge.method.alarms import own_way_alarms
from srl_edge.method.types import Rollout, Sample, Trajectory
from srl_edge.recipe import Prompt
from srl_edge.trainers.loop import checkpoints
from srl_edge.trainers.loop.logs import handed_on
from srl_edge.trainers.loop.train import train
from srl_edge.trainers.policy.contract import Loss
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, BROKEN, GOOD, make_run, rows


def test_reward_rises_and_the_best_adapter_is_kept(tmp_path: Path) -> None:
    policy = TablePolicy([BAD, BROKEN, GOOD])
    adapter = train(make_run(tmp_path), tmp_path, policy)
    rewards = [r["reward"] for r in rows(tmp_path) if "reward" in r]
    assert len(rewards) == 8 and sum(rewards[-3:]) > sum(rewards[:3]) + 0.5
    weights = json.loads((adapter / "weights.json").read_text())
    assert max(weights) == weights[2]
    metrics = next(r for r in rows(tmp_path) if "reward" in r)
    names = {"loss", "grad_norm", "reward_std", "frac_reward_zero_std", "keep_rate", "step_time"}
    names |= {"completions/mean_length", "completions/clipped_ratio", "rewards/format/mean"}
    assert names <= set(metrics)
    rollouts = rows(tmp_path, "rollouts")
    broken = [r for r in rollouts if r["completion"] == BROKEN]
    assert broken and all(r["reward"] == -1 and r["fault"] for r in broken)


def test_learning_rate_rises_to_its_value(tmp_path: Path) -> None:
    train(make_run(tmp_path, warmup_steps=4), tmp_path, TablePolicy([BAD, BROKEN, GOOD]))
    rates = [r["learning_rate"] for r in rows(tmp_path) if "reward" in r]
    assert rates == pytest.approx([0.005, 0.01, 0.015, 0.02] + [0.02] * 4)


def test_groups_without_spread_are_dropped_and_refilled(tmp_path: Path) -> None:
    # Two good replies for each bad one: with pairs, about half of the groups have no spread.
    policy = TablePolicy([GOOD, BAD])
    train(make_run(tmp_path, group_size=2, max_rounds=20, steps=4), tmp_path, policy)
    for row in rows(tmp_path):
        if "keep_rate" in row:
            assert 0 < row["keep_rate"] < 1 or row["frac_reward_zero_std"] == 0
    steps = [r["step"] for r in rows(tmp_path, "rollouts")]
    assert steps.count(1) > 8  # more than the four groups of two that the batch holds


def test_the_step_prompts_of_a_trajectory_are_learned_from_together(tmp_path: Path) -> None:
    class Noting(TablePolicy):
        def forward_backward(
            self, groups: Sequence[Sequence[Sample]], loss: Loss
        ) -> dict[str, float]:
            learned.append([{s.prompt_ids for s in group} for group in groups])
            return super().forward_backward(groups, loss)

    learned: list[list[set[tuple[int, ...]]]] = []
    recipe = make_run(tmp_path, targets="all", steps=1)
    train(recipe, tmp_path, Noting([BAD, BROKEN, GOOD]))
    # Four prompts of two trajectories, of two steps each, whose groups of eight all have spread.
    assert [len(prompts) for prompts in learned[-1]] == [2, 2]


def test_where_few_groups_pass_a_batch_of_none_is_not_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rare = [GOOD, *[BAD + " " * i for i in range(1, 10)]]  # equal steps, so no spread without GOOD
    recipe = make_run(
        tmp_path, prompts_per_step=1, group_size=2, max_rounds=8, learning_rate=1e-9, steps=10
    )
    train(recipe, tmp_path, TablePolicy(rare))
    steps = [r for r in rows(tmp_path) if "kept_groups" in r]
    assert len(steps) == 10 and {r["kept_groups"] for r in steps} == {1}
    assert min(r["keep_rate"] for r in steps) < 1 / 8  # more rounds than max_rounds
    assert "nothing" not in capsys.readouterr().err


def test_stops_cleanly_and_says_why_when_nothing_passes(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    with pytest.raises(
        StageError, match=r"48 prompts: 384 of 384 replies break the format or a guard"
    ):
        train(recipe, tmp_path, TablePolicy([BROKEN]))
    # They are written down, so that one can see what is wrong.
    assert len(rows(tmp_path, "rollouts")) == 384
    with pytest.raises(StageError, match=r"differ by a std of at most 0\.01"):
        train(recipe, tmp_path, TablePolicy([BAD]))


class Dying(TablePolicy):
    """A policy that is interrupted after so many updates."""

    def __init__(self, replies: Sequence[str], updates: int) -> None:
        super().__init__(replies)
        self.left = updates

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().optim_step(learning_rate, max_grad_norm)


def test_a_run_killed_anywhere_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    recipe = make_run(tmp_path / "whole")
    train(recipe, tmp_path / "whole", TablePolicy([BAD, BROKEN, GOOD]))
    expected = [_timeless(r) for r in rows(tmp_path / "whole")]
    for kill_at in (1, 4, 7, 9):
        run = tmp_path / f"killed-{kill_at}"
        recipe = make_run(run)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, run, Dying([BAD, BROKEN, GOOD], kill_at))
        train(recipe, run, TablePolicy([BAD, BROKEN, GOOD]))
        assert [_timeless(r) for r in rows(run)] == expected
        assert rows(run, "rollouts") == rows(tmp_path / "whole", "rollouts")


def test_slow_steps_are_not_made_again_after_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_run(tmp_path)
    assert recipe.trainer.checkpoint_every > 1
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):  # after two steps of the warm-up, one of the next stage
        train(recipe, tmp_path, Dying([BAD, BROKEN, GOOD], 3))
    monkeypatch.undo()
    assert (tmp_path / "train" / "checkpoint-1-000001").is_dir()
    logged = rows(tmp_path)
    train(recipe, tmp_path, TablePolicy([BAD, BROKEN, GOOD]))
    assert rows(tmp_path)[: len(logged)] == logged  # their times too: they are the same rows


def test_slow_steps_whose_checkpoint_was_deleted_are_set_aside(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    folder = tmp_path / "train"
    owned.claim(folder, "training")
    row = {"stage": 0, "kind": "srl", "step": 1, "loss": 0.0, "step_time": 61.0}
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    assert checkpoints.without_checkpoints(folder, recipe)
    (folder / "metrics.jsonl").write_text(json.dumps(row | {"step_time": 1.0}) + "\n")
    assert not checkpoints.without_checkpoints(folder, recipe)


def test_which_step_is_handed_on_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Harming(TablePolicy):
        """A policy that each update makes worse."""

        def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
            return super().optim_step(-learning_rate, max_grad_norm)

    train(make_run(tmp_path / "harmed"), tmp_path / "harmed", Harming([BAD, BROKEN, GOOD]))
    said = capsys.readouterr().err
    assert "no step did better on the held-out problems than what it began with" in said
    assert "nothing of its 8 steps" in said
    train(make_run(tmp_path / "helped"), tmp_path / "helped", TablePolicy([BAD, BROKEN, GOOD]))
    assert "no step did better" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("best", "said"),
    [
        ([(0, 0, 1), (0, 4, 1), (1, 0, 1), (1, 8, 1)], ""),
        ([(0, 0, 1), (0, 4, 1), (1, 0, 1), (1, 4, 1), (1, 8, 0)], "step 4 of 8 did best"),
        ([(0, 0, 1), (0, 4, 1), (1, 0, 1), (1, 8, 0)], "than what it began with, so that"),
        ([(0, 0, 1), (0, 4, 0), (1, 0, 1), (1, 8, 0)], "than the untrained model, so that"),
    ],
)
def test_what_a_second_stage_hands_on(
    tmp_path: Path, best: list[tuple[int, int, int]], said: str
) -> None:
    found = [{"stage": s, "kind": "srl", "step": n, "eval_best": float(b)} for s, n, b in best]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    assert said in handed_on(tmp_path, 1) and bool(said) == bool(handed_on(tmp_path, 1))


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if "time" not in k and "per_second" not in k}


def test_replies_that_were_cut_off_teach_nothing_where_they_are_masked(tmp_path: Path) -> None:
    class Cutting(TablePolicy):
        def sample(self, *args: Any, **kwargs: Any) -> list[list[Rollout]]:
            groups = super().sample(*args, **kwargs)
            return [[replace(r, finished=r.text != BROKEN) for r in group] for group in groups]

        def forward_backward(
            self, groups: Sequence[Sequence[Sample]], loss: Loss
        ) -> dict[str, float]:
            texts = ["".join(map(chr, s.completion_ids[:-1])) for g in groups for s in g]
            learned.update(texts)
            if loss.kind == "clipped":
                advantages.extend(s.advantage for g in groups for s in g)
            return super().forward_backward(groups, loss)

    learned: Counter[str] = Counter()
    advantages: list[float] = []
    recipe = make_run(tmp_path, overlong="masked", steps=3)
    train(recipe, tmp_path, Cutting([BAD, BROKEN, GOOD]))
    assert learned[BROKEN] == 0 and learned[GOOD] > 0
    # Those that are left are compared with each other alone.
    assert sum(advantages) == pytest.approx(0, abs=1e-4)
    assert any(r["fault"] == "cut off at the length limit" for r in rows(tmp_path, "rollouts"))


def test_every_validation_says_what_is_left_of_the_models_own_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Forgetting(TablePolicy):
        """Answers rightly in its own way until it has learned something else."""

        def sample(self, prompts: Any, *args: Any, **kwargs: Any) -> list[list[Rollout]]:
            groups = super().sample(prompts, *args, **kwargs)
            own = [bool("boxed" in "".join(map(chr, p))) for p in prompts]
            text = "1 + 2 is 3, so it is \\boxed{3}" if max(self.weights) < 1.01 else "3?"
            reply = [*map(ord, text), 0]
            answered = Rollout((), tuple(reply), (), text, True)
            return [[answered] if o else g for o, g in zip(own, groups, strict=True)]

    recipe = make_run(tmp_path)
    train(recipe, tmp_path, Forgetting([BAD, BROKEN, GOOD]))
    held_out = [row for row in rows(tmp_path) if "eval_reward" in row]
    first, *_, last = held_out
    assert first["eval_own_accuracy"] == first["eval_own_accuracy_strict"] == 1
    assert first["eval_kl"] == 0 < last["eval_kl"]
    assert last["eval_own_accuracy"] == 1 and last["eval_own_accuracy_strict"] == 0
    assert "less than half as long as before training" in capsys.readouterr().err


def test_an_alarm_says_that_the_model_has_forgotten_its_own_way() -> None:
    base = {"eval_own_accuracy": 0.28, "eval_own_length": 270.0}
    worse = {"eval_own_accuracy": 0.125, "eval_own_length": 200.0}
    (said,) = own_way_alarms(base, worse, 64)
    assert "12% of 64 held-out problems, 28% before training" in said and "math" in said
    assert own_way_alarms(base, base, 64) == []
    # One problem fewer of a handful may be chance.
    one_fewer = (base | {"eval_own_accuracy": share} for share in (0.25, 0.125))
    assert own_way_alarms(next(one_fewer), next(one_fewer), 8) == []


def test_a_solution_in_one_reply_is_validated_by_its_answer_alone(tmp_path: Path) -> None:
    made = make_run(tmp_path, kind="rlvr", reply="whole", learning_rate=1e-9, steps=1)
    recipe = made.model_copy(update={"stages": made.stages[1:], "prompt": Prompt(preset="math")})
    policy = TablePolicy(["it is \\boxed{3}", "it is \\boxed{4}"])
    train(recipe, tmp_path, policy)
    (first, *_) = [row for row in rows(tmp_path) if "eval_accuracy" in row]
    assert first["eval_accuracy"] == first["eval_reward"] == first["eval_format"] == 1
    assert "eval_similarity" not in first
    # It is asked in its own way already, and not once more.
    assert first["eval_own_accuracy"] == first["eval_own_accuracy_strict"] == 1
    assert first["eval_own_length"] == len("it is \\boxed{3}")
    assert policy.sampled == 12 * 2 + 8 * 4


def test_a_batch_may_be_learned_from_in_several_updates(tmp_path: Path) -> None:
    class Noting(TablePolicy):
        def forward_backward(
            self, groups: Sequence[Sequence[Sample]], loss: Loss
        ) -> dict[str, float]:
            learned.append([s.prompt_ids for group in groups for s in group])
            return super().forward_backward(groups, loss)

    learned: list[list[tuple[int, ...]]] = []
    made = make_run(tmp_path, steps=1, minibatches=3, updates_per_batch=2, prompts_per_step=6)
    recipe = made.model_copy(update={"stages": made.stages[1:]})
    train(recipe, tmp_path, Noting([BAD, BROKEN, GOOD]))
    first, second = learned[:3], learned[3:]
    assert first == second and len(learned) == 6
    # Every prompt in one of the three, with all its rollouts.
    assert sorted(len(part) for part in first) == [16, 16, 16]
    assert len({p for part in first for p in part}) == 6
    (row,) = [row for row in rows(tmp_path) if "loss" in row]
    assert row["learning_rate"] == 0.02 and row["grad_norm"] > 0


@pytest.mark.parametrize("kind", ["sft", "srl"])
@pytest.mark.parametrize(("minibatches", "sizes"), [(1, [8]), (3, [2, 3, 3]), (4, [2] * 4)])
def test_long_trajectories_are_cut_into_as_many_updates_as_are_asked_for(
    kind: str, minibatches: int, sizes: list[int], tmp_path: Path
) -> None:
    class Noting(TablePolicy):
        def forward_backward(
            self, groups: Sequence[Sequence[Sample]], loss: Loss
        ) -> dict[str, float]:
            learned.append([len({s.prompt_ids for s in group}) for group in groups])
            return super().forward_backward(groups, loss)

    learned: list[list[int]] = []
    stage = {"kind": kind, "steps": 2, "prompts_per_step": 8, "targets": "all"}
    made = make_run(tmp_path, minibatches=minibatches, **stage)
    long = [
        Trajectory(f"{i}", f"problem {i}", (*["add 1 and 2 to get 3"] * 7, "so 3"), "3")
        for i in range(6)
    ]
    write_jsonl(tmp_path / "data" / "train.jsonl", long)
    recipe = made.model_copy(update={"stages": made.stages[1:]})
    train(recipe, tmp_path, Noting([BAD, BROKEN, GOOD]))
    # The eight steps of each batch are one trajectory, which stays together within a part.
    assert learned == [[size] for size in sizes] * 2
