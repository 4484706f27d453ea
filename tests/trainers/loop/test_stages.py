"""What the stages train on, and how each is rewarded, with a table for a policy."""

import json
import math
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from srl_edge.errors import InputError, StageError
from srl_edge.method.types import Sample, StepPrompt
from srl_edge.recipe import Columns, Stage
from srl_edge.trainers.loop import checkpoints
from srl_edge.trainers.loop.batches import sample_solutions, sampled_batch, training_samples
from srl_edge.trainers.loop.stream import PromptStream
from srl_edge.trainers.loop.train import train, training_prompts
from srl_edge.trainers.loop.validation import validate
from srl_edge.trainers.policy.contract import Loss
from tests.helpers.fakes import TablePolicy
from tests.helpers.runs import BAD, BROKEN, GOOD, make_run, rows

RIGHT = "<think>hm</think>\nso 3\n#### 3"
WRONG = "<think>hm</think>\nso 4\n#### 4"
PROBLEM = StepPrompt("t", 0, "problem 1", (), "", "3")


def rlvr(**settings: Any) -> Stage:
    return Stage.model_validate({"kind": "rlvr", "steps": 1, "group_size": 16} | settings)


def test_a_solution_is_found_step_by_step_and_its_replies_share_the_reward() -> None:
    (group,) = sample_solutions(TablePolicy([GOOD, RIGHT, WRONG, BROKEN]), [PROBLEM], rlvr(), 3)
    by_reward: dict[float, set[str]] = {0.0: set(), 1.0: set()}
    for replies, reward in zip(group.rollouts, group.rewards, strict=True):
        texts = [r.text for _, r in replies]
        by_reward[reward.total].add(texts[-1])
        assert set(texts[:-1]) <= {GOOD}  # only a step without an answer is followed by another
        asked = [p.previous_steps for p, _ in replies]
        assert asked == [("add 1 and 2 to get 3",) * i for i in range(len(texts))]
    assert by_reward[1.0] == {RIGHT} and WRONG in by_reward[0.0] and BROKEN in by_reward[0.0]
    (samples,) = training_samples([group])
    assert len(samples) == sum(map(len, group.rollouts))
    assert {s.advantage > 0 for s in samples} == {True, False}


def test_whole_solutions_take_one_reply() -> None:
    (group,) = sample_solutions(TablePolicy([BAD, RIGHT]), [PROBLEM], rlvr(reply="whole"), 0)
    assert all(len(replies) == 1 for replies in group.rollouts)
    assert {r.total for r in group.rewards} == {0.0, 1.0}


def test_the_longest_trajectory_comes_first_and_each_prompt_once_an_epoch() -> None:
    steps = [
        [StepPrompt(str(i), j, "p" * (i % 7), ("s",) * j, "s") for j in range(1 + i % 5)]
        for i in range(35)
    ]
    stream = PromptStream(steps, "0")
    first, second = stream.take(0, stream.size), stream.take(stream.size, stream.size)
    assert first[:5] == steps[34]  # the longest problem and the most steps
    assert second[:5] != steps[34] and first != second
    for epoch in (first, second):
        assert {(p.trajectory_id, p.step_index) for p in epoch} == {
            (p.trajectory_id, p.step_index) for trajectory in steps for p in trajectory
        }


def test_an_adapter_that_was_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(policy: Any, stage: Stage, chosen: Any) -> dict[str, float]:
        asked.append(stage.kind)
        return validate(policy, stage, chosen)

    monkeypatch.setattr("srl_edge.trainers.loop.stage.validate", counted)
    for name, other, kinds in (
        ("same", {"reward": {}}, ["sft", "sft", "srl"]),  # before and after, and after
        ("other", {"reward": {"characters": 1.0}}, ["sft", "sft", "srl", "srl"]),
    ):
        run = tmp_path / name
        recipe = make_run(run, steps=2, **other)
        train(recipe, run, TablePolicy([GOOD, BAD, BROKEN]))
        assert asked == kinds
        asked.clear()
        held_out = [row for row in rows(run) if "eval_reward" in row]
        assert [(row["stage"], row["step"]) for row in held_out] == [(0, 0), (0, 2), (1, 0), (1, 2)]
        before, after = (
            {k: v for k, v in row.items() if k.startswith("eval_")} for row in held_out[1:3]
        )
        assert (before == after) == (name == "same")


def test_groups_of_right_or_of_wrong_answers_alone_are_dropped() -> None:
    stream = PromptStream([[PROBLEM]], "")
    stage = rlvr(group_size=2, prompts_per_step=4, max_rounds=20)
    kept, seen, taken, _ = sampled_batch(TablePolicy([RIGHT, WRONG]), stream, 0, stage, 5)
    assert len(kept) == 4 and taken == len(seen) > 4
    assert all(0 < sum(g.totals) < 2 for g in kept)


def test_replies_that_grow_ring_an_alarm_in_rlvr_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = RIGHT.replace("hm", "hm " * 100)
    rlvr = {"kind": "rlvr", "steps": 20, "prompts_per_step": 4, "targets": "all"}
    train(make_run(tmp_path, **rlvr), tmp_path, TablePolicy([WRONG, BAD, BROKEN, long]))
    lengths = [r["completions/mean_length"] for r in rows(tmp_path) if "reward" in r]
    assert lengths[-1] > 2 * lengths[0]
    assert "replies are less than half, or more than twice, as long" in capsys.readouterr().err


def test_problems_of_one_id_in_a_batch_keep_their_own_replies() -> None:
    other = StepPrompt("t", 0, "problem 2", (), "", "4")
    groups = sample_solutions(TablePolicy([RIGHT, WRONG]), [PROBLEM, other], rlvr(), 3)
    for group, right in zip(groups, (RIGHT, WRONG), strict=True):
        assert len(group.rollouts) == 16
        for replies, reward in zip(group.rollouts, group.rewards, strict=True):
            assert [p.problem for p, _ in replies] == [group.prompt.problem]
            assert reward.total == (replies[0][1].text == right)


@pytest.mark.parametrize("kind", ["srl", "rlvr"])
def test_each_stage_learns_what_it_is_rewarded_for(tmp_path: Path, kind: str) -> None:
    policy = TablePolicy([BAD, WRONG, RIGHT])
    recipe = make_run(tmp_path, kind=kind, learning_rate=0.01, targets="skip_first")
    adapter = train(recipe, tmp_path, policy)
    weights = json.loads((adapter / "weights.json").read_text())
    assert max(weights) == weights[2]
    assert (tmp_path / "train" / f"stage-1-{kind}" / "weights.json").is_file()
    last = [r for r in rows(tmp_path) if "eval_reward" in r][-1]
    assert last["eval_accuracy"] == 1.0


def test_a_stage_stops_when_validation_no_longer_improves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Worsens(TablePolicy):
        def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
            self.weights = [1.0, 0.3]
            return 1.0

    recipe = make_run(tmp_path, validate_every=1, patience=2)
    policy = Worsens([BAD, GOOD])
    policy.weights = [0.5, 1.0]
    train(recipe, tmp_path, policy)
    steps = [r["step"] for r in rows(tmp_path) if r["kind"] == "srl" and "loss" in r]
    assert len(steps) == 2 and "2 validations without a better one" in capsys.readouterr().err
    assert json.loads((tmp_path / "adapter" / "weights.json").read_text()) == [0.5, 1.0]


def test_a_plateau_is_no_improvement_and_a_kill_after_the_last_validation_adds_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_run(tmp_path, validate_every=1, patience=2, learning_rate=1e-9)
    policy = TablePolicy([BAD, GOOD])
    with monkeypatch.context() as patch:
        patch.setattr(policy, "load_adapter", killed)  # when the stage has ended
        always = recipe.trainer.model_copy(update={"checkpoint_every": 1})
        recipe = recipe.model_copy(update={"stages": recipe.stages[1:], "trainer": always})
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path, policy)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    # The first step makes GOOD likelier than BAD; the two after it leave that so.
    assert [r["step"] for r in rows(tmp_path) if "loss" in r] == [1, 2, 3]


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_budget_in_epochs_and_data_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    problems = [{"problem": f"own {i}", "steps": ["a", "b"], "answer": "3"} for i in range(6)]
    problems.append({"problem": "problem 1", "steps": ["a", "b"], "answer": "3"})  # held out
    own.write_text("".join(json.dumps(row) + "\n" for row in problems))
    recipe = make_run(tmp_path, steps=None, epochs=2, data=str(own), prompts_per_step=4)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    steps = [r["step"] for r in rows(tmp_path) if r["kind"] == "srl" and "loss" in r]
    assert len(steps) == 3  # two passes over six prompts, four at a time
    seen = {r["problem"] for r in rows(tmp_path, "rollouts")}
    assert seen == {f"own {i}" for i in range(6)}


def test_an_epoch_counts_the_prompts_of_refilled_batches(tmp_path: Path) -> None:
    recipe = make_run(
        tmp_path, steps=None, epochs=4, prompts_per_step=2, group_size=2, max_rounds=20
    )
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    steps = [r for r in rows(tmp_path) if r["kind"] == "srl" and "loss" in r]
    asked = [round(r["kept_groups"] / r["keep_rate"]) for r in steps]
    assert sum(asked[:-1]) < 4 * 12 <= sum(asked) and len(steps) < 4 * 12 / 2
    assert "eval_reward" in rows(tmp_path)[-1]


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    stages = (recipe.stages[0], recipe.stages[1].model_copy(update={"temperature": 0.5}))
    with pytest.raises(InputError, match=r"another stages\.1\.temperature \(1\.0, now 0\.5\)"):
        train(recipe.model_copy(update={"stages": stages}), tmp_path, TablePolicy([BAD, GOOD]))


def test_what_was_removed_or_edited_since_a_checkpoint_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def one(action, prompt):\n    return 1.0\n")
    recipe = make_run(tmp_path, reward={"characters": 0.5, f"{own}:one": 0.5})
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))

    def refused(stages: tuple[Stage, ...], what: str) -> None:
        with pytest.raises(InputError, match=f"another {what}"):
            train(recipe.model_copy(update={"stages": stages}), tmp_path, TablePolicy([BAD, GOOD]))

    sft, srl = recipe.stages
    refused((sft, srl.model_copy(update={"reward": {"characters": 0.5}})), r"stages\.1\.reward")
    refused((sft,), r"stages\.1")
    own.write_text("def one(action, prompt):\n    return 2.0\n")
    refused((sft, srl), r"stages\.1\.reward .*own\.py \(contents\)")
    own.write_text("def one(action, prompt):\n    return 1.0\n")
    # A stage that comes after what is trained is no change of it.
    more = (sft, srl, srl.model_copy(update={"temperature": 0.7}))
    train(recipe.model_copy(update={"stages": more}), tmp_path, TablePolicy([BAD, GOOD]))
    assert (tmp_path / "train" / "stage-2-srl").is_dir()
    data = tmp_path / "data" / "train.jsonl"
    data.write_text(data.read_text().replace("problem 3", "problem 33"))
    refused(more, r"data\.train \(contents\)")


def test_a_checkpoint_from_before_a_setting_existed_goes_on_at_its_default(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    *_, newest = sorted((tmp_path / "train").glob("checkpoint-*"))
    state = json.loads((newest / "trainer_state.json").read_text())
    del state["settings"]["trainer.importance_cap"]
    (newest / "trainer_state.json").write_text(json.dumps(state))
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    other = recipe.trainer.model_copy(update={"importance_cap": 3.0})
    with pytest.raises(InputError, match=r"another trainer\.importance_cap \(None, now 3\.0\)"):
        train(recipe.model_copy(update={"trainer": other}), tmp_path, TablePolicy([BAD, GOOD]))


@pytest.mark.parametrize("count", [2, 3])
def test_the_newest_checkpoints_are_kept(tmp_path: Path, count: int) -> None:
    recipe = make_run(tmp_path, learning_rate=1e-4)
    trainer = recipe.trainer.model_copy(update={"keep_last": count, "checkpoint_every": 2})
    train(recipe.model_copy(update={"trainer": trainer}), tmp_path, TablePolicy([BAD, GOOD]))
    found = sorted(p.name for p in (tmp_path / "train").glob("checkpoint-*"))
    newest = ["checkpoint-1-000006", "checkpoint-1-000008", "checkpoint-2-000000"]
    assert found == newest[-count:]


def test_notes_of_a_user_in_training_folders_outlive_what_training_removes(tmp_path: Path) -> None:
    recipe = make_run(tmp_path, steps=4)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    folder = tmp_path / "train"
    notes = [path / "my notes.md" for path in (*folder.glob("checkpoint-*"), folder / "best")]
    outside = tmp_path / "mine.txt"
    outside.write_text("mine")
    for note in notes:
        note.write_text("mine")
    newest = max(folder.glob("checkpoint-1-*"))
    state = json.loads((newest / "trainer_state.json").read_text())
    state["files"].append("../../mine.txt")
    (newest / "trainer_state.json").write_text(json.dumps(state))
    more = recipe.stages[1].model_copy(update={"steps": 8})
    longer = recipe.model_copy(update={"stages": (recipe.stages[0], more)})
    train(longer, tmp_path, TablePolicy([BAD, GOOD]))
    assert not newest.exists() and outside.is_file()
    kept = [path for path in folder.rglob("my notes.md") if path.parent.parent == folder]
    assert len(kept) >= len(notes)
    assert checkpoints.there(folder) and rows(tmp_path)[-1]["step"] == 8


def test_a_checkpoint_that_names_files_elsewhere_cuts_nothing_but_its_logs(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "theirs.txt"
    recipe = make_run(run)
    train(recipe, run, TablePolicy([BAD, GOOD]))
    other.write_text("kept")
    for file in run.glob("train/checkpoint-*/trainer_state.json"):
        state = json.loads(file.read_text())
        state["log_bytes"] |= {str(other): 0, "../../theirs.txt": 0, "metrics.jsonl": 1 << 40}
        file.write_text(json.dumps(state))
    train(recipe, run, TablePolicy([BAD, GOOD]))
    assert other.read_text() == "kept"
    assert (run / "train" / "metrics.jsonl").stat().st_size < 1 << 20


def test_an_older_checkpoint_that_was_kept_leads_to_the_same_end(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    trainer = recipe.trainer.model_copy(update={"keep_last": 3})
    recipe = recipe.model_copy(update={"trainer": trainer})
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    rollouts, adapter = rows(tmp_path, "rollouts"), tmp_path / "adapter" / "weights.json"
    weights = adapter.read_text()
    for newer in ("checkpoint-2-000000", "checkpoint-1-000008"):
        shutil.rmtree(tmp_path / "train" / newer)
    train(recipe, tmp_path, TablePolicy([BAD, GOOD]))
    assert rows(tmp_path, "rollouts") == rollouts and adapter.read_text() == weights


def test_the_eleventh_stage_is_newer_than_the_tenth(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    many = (recipe.stages[0].model_copy(update={"steps": 1}),) * 11
    train(recipe.model_copy(update={"stages": many}), tmp_path, TablePolicy([BAD, GOOD]))
    found = {p.name for p in (tmp_path / "train").glob("c*")}
    assert found == {"checkpoint-10-000001", "checkpoint-11-000000"}  # the last stage's end stays


class Breaks(TablePolicy):
    """Its loss, its gradient or its weights are no numbers at some of its updates."""

    def __init__(self, what: str, broken: Collection[int]) -> None:
        super().__init__([BAD, GOOD])
        self.what, self.broken, self.updates, self.norms = what, broken, 0, 0

    def forward_backward(self, groups: Sequence[Sequence[Sample]], loss: Loss) -> dict[str, float]:
        self.updates += 1
        metrics = super().forward_backward(groups, loss)
        broken = self.what == "loss" and self.updates in self.broken
        return metrics | {"loss": float("nan")} if broken else metrics

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        if self.updates not in self.broken or self.what == "loss":
            return super().optim_step(learning_rate, max_grad_norm)
        if self.what == "weights":
            self.weights = [float("nan")] * 2
            return 1.0
        self.drop_gradient()
        return float("inf")


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_teaches_nothing_and_is_counted(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_run(tmp_path, steps=5)
    recipe = recipe.model_copy(update={"stages": recipe.stages[1:]})
    train(recipe, tmp_path, Breaks(what, {2, 4}))
    steps = [r for r in rows(tmp_path) if "learning_rate" in r]
    assert [r.get("lost_updates", 0) for r in steps] == [0, 1, 0, 1, 0]
    assert [("loss" in r) for r in steps] == [True, False, True, False, True]
    assert "step 2: " in (said := capsys.readouterr().err) and "nothing was learned" in said
    assert "NaN" not in (tmp_path / "train" / "metrics.jsonl").read_text()
    assert not (tmp_path / "train" / "not_finite.json").exists()


def test_three_in_a_row_end_the_run_and_keep_the_batch(tmp_path: Path) -> None:
    recipe = make_run(tmp_path, steps=9)
    recipe = recipe.model_copy(update={"stages": recipe.stages[1:]})
    with pytest.raises(StageError, match=r"step 4: loss not finite.*3 times.*Lower learning_rate"):
        train(recipe, tmp_path, Breaks("loss", {2, 3, 4}))
    kept = json.loads((tmp_path / "train" / "not_finite.json").read_text())
    assert kept["samples"][0]["completion_ids"] and kept["metrics"]["loss"] == "nan"
    best = json.loads((tmp_path / "train" / "best" / "weights.json").read_text())
    assert all(map(math.isfinite, best))


def test_weights_that_are_no_numbers_end_the_run_and_are_never_the_best(tmp_path: Path) -> None:
    recipe = make_run(tmp_path, steps=5, validate_every=1)
    recipe = recipe.model_copy(update={"stages": recipe.stages[1:]})
    with pytest.raises(StageError, match="no numbers any more after an update; lower learning"):
        train(recipe, tmp_path, Breaks("weights", {2}))
    best = json.loads((tmp_path / "train" / "best" / "weights.json").read_text())
    assert all(map(math.isfinite, best))


def test_a_stages_own_data_comes_through_the_same_doors(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    table = 'question,answer\nown?,"a\nb\n#### 3"\nproblem 1,"a\nb\n#### 3"\n'  # the last held out
    (folder / "a.csv").write_text(table)
    (folder / "b.json").write_text('[{"question": "other?", "answer": "c\\nd\\n#### 4"}]')
    recipe = make_run(tmp_path / "run", data=str(folder), targets="all")
    columns = Columns(problem="frage")  # of data.source, and not of this
    data = recipe.data.model_copy(update={"source": "x", "columns": columns})
    recipe = recipe.model_copy(update={"data": data})
    groups = training_prompts(recipe, recipe.stages[-1], recipe.run)
    asked = {(p.problem, p.expert_action) for group in groups for p in group}
    steps = {"own?": ("a", "b\n#### 3"), "other?": ("c", "d\n#### 4")}
    assert asked == {(problem, step) for problem, its in steps.items() for step in its}
