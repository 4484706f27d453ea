"""One stage of training: a batch, its gradient, an update, now and then a validation."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from srl_edge.data import trajectories
from srl_edge.data.calibration import calibration_texts
from srl_edge.errors import NothingToCompare, StageError
from srl_edge.files import replace
from srl_edge.lost import require_held
from srl_edge.method.alarms import alarms, own_way_alarms
from srl_edge.method.types import Sample, StepPrompt
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.recipe import Recipe, Stage
from srl_edge.terminal import progress
from srl_edge.trainers.loop import checkpoints
from srl_edge.trainers.loop.batches import (
    expert_batch,
    in_parts,
    sampled_batch,
    step_seed,
    training_samples,
)
from srl_edge.trainers.loop.logs import (
    log_metrics,
    log_rollouts,
    note,
    rows_so_far,
    sampling_metrics,
    steps_so_far,
    validation_note,
)
from srl_edge.trainers.loop.own_thoughts import with_own_thoughts
from srl_edge.trainers.loop.stream import PromptStream
from srl_edge.trainers.loop.tracking import Tracker
from srl_edge.trainers.loop.validation import held_out, score, validate
from srl_edge.trainers.policy.contract import Loss, Policy

# Settings of a stage that its validation depends on.
_VALIDATED_BY = (
    "reply",
    "title_hint",
    "max_new_tokens",
    "max_steps",
    "reward",
    "guards",
    "autojunk",
)
LOST_AT_MOST = 3  # updates in a row whose loss or gradient is not finite


def loss_of(recipe: Recipe, stage: Stage) -> Loss:
    """The loss that a stage is trained with."""
    other_sampler = recipe.trainer.sampler != "torch"
    return Loss(
        "nll" if stage.kind == "sft" else "clipped",
        stage.clip_low,
        stage.clip_high,
        stage.aggregation == "sequence",
        stage.kl,
        1.0 if stage.kind == "sft" else stage.temperature,
        recipe.trainer.importance_cap if other_sampler else None,
    )


class StageRun:
    """One stage of a recipe on a policy, from where its cursor stands.

    prompts: what it is trained on, by trajectory.
    """

    def __init__(
        self,
        recipe: Recipe,
        index: int,
        run: Path,
        policy: Policy,
        cursor: checkpoints.Cursor,
        track: Tracker,
        prompts: Sequence[list[StepPrompt]],
    ) -> None:
        self.recipe, self.index, self.stage = recipe, index, recipe.stages[index]
        self.data, self.folder = run / "data", run / "train"
        self.policy, self.cursor, self.track = policy, cursor, track
        stage, seed = self.stage, f"{recipe.seed}/{index}"
        if stage.warm_up_thoughts == "own":
            prompts = with_own_thoughts(
                policy,
                PromptStream(prompts, seed),
                stage,
                self.folder / f"thoughts-{index}.json",
                going_on=cursor.step > 0,
            )
        self.stream = PromptStream(prompts, seed)
        self.passes = (stage.epochs or math.inf) * self.stream.size
        self.steps = stage.steps_of(self.stream.size)
        self.held_out = held_out(recipe, run, stage)
        self.recent = steps_so_far(self.folder, index)
        self.warned: set[str] = set()
        self.lost_in_a_row = 0
        self.loss = loss_of(recipe, stage)
        self.title = f"train {index + 1}/{len(recipe.stages)} {stage.kind}"

    @property
    def over(self) -> bool:
        """Whether all steps are done, or all passes over the prompts.

        Refilled batches take more prompts, so passes may end before the steps do.
        """
        return self.cursor.step >= self.steps or self.cursor.prompts >= self.passes

    @property
    def out_of_patience(self) -> bool:
        """Whether too many validations brought nothing better."""
        return bool(self.stage.patience) and self.cursor.worse >= self.stage.patience

    def run_to_its_end(self) -> None:
        """Train until the stage is over, out of patience, or has nothing left to compare."""
        if self.cursor.step == 0:
            self._fit_rounding()
            self._validate()
        saved = time.monotonic()
        with progress.bar(self.title, self.steps, self.cursor.step) as advance:
            while not (self.over or self.out_of_patience):
                try:
                    metrics = self._step()
                except NothingToCompare as why:
                    log_rollouts(
                        self.folder, self.index, self.stage, self.cursor.step + 1, why.groups
                    )
                    if self.cursor.step == 0:
                        raise
                    # After some progress that is an end, not a mistake: all may be learned.
                    end = f"The stage ends after {self.cursor.step} of {self.steps} steps."
                    progress.say(f"{why} {end}")
                    self._validate()
                    return
                self._note(metrics)
                every = self.stage.validate_every
                if self.over or (every and self.cursor.step % every == 0):
                    self._validate()
                due = self.cursor.step % self.recipe.trainer.checkpoint_every == 0
                if due or time.monotonic() - saved >= checkpoints.SECONDS:
                    checkpoints.save(self.folder, self.policy, self.cursor, self.recipe)
                    saved = time.monotonic()
                advance(note(metrics))
        if not self.over:
            progress.say(
                f"train: {self.cursor.worse} validations without a better one; the "
                f"{self.stage.kind} stage ends after {self.cursor.step} of {self.steps} steps."
            )

    def _fit_rounding(self) -> None:
        recipe = self.recipe
        if recipe.trainer.quantization in AS_SHIPPED:
            texts = calibration_texts(
                trajectories.load(self.data / "train.jsonl"),
                self.policy.tokenizer,
                recipe.seed,
                recipe.prompt.form,
                recipe.whole,
            )
            self.policy.fit_rounding(texts)

    def _step(self) -> dict[str, float]:
        """Take a batch and learn from it; its metrics. Raises NothingToCompare."""
        start = time.monotonic()
        parts, sampling = self._expert() if self.stage.kind == "sft" else self._sampled()
        self.cursor.step += 1
        metrics = self._update(parts) | sampling
        return metrics | {"step_time": time.monotonic() - start}

    def _expert(self) -> tuple[list[list[list[Sample]]], dict[str, float]]:
        """Samples by minibatch and trajectory, and no metrics."""
        prompts = self.stream.take(self.cursor.prompts, self.stage.prompts_per_step)
        self.cursor.prompts += len(prompts)
        parts = in_parts(prompts, self.stage.minibatches)
        thoughts = self.stage.warm_up_thoughts != "none"
        return [expert_batch(self.policy, part, thoughts) for part in parts], {}

    def _sampled(self) -> tuple[list[list[list[Sample]]], dict[str, float]]:
        """Samples by minibatch and trajectory, and metrics of the sampling."""
        seed = step_seed(self.recipe.seed, self.index, self.cursor.step)
        kept, seen, taken, elapsed = sampled_batch(
            self.policy, self.stream, self.cursor.prompts, self.stage, seed
        )
        self.cursor.prompts += taken
        log_rollouts(self.folder, self.index, self.stage, self.cursor.step + 1, seen)
        parts = [training_samples(part) for part in in_parts(kept, self.stage.minibatches)]
        return parts, sampling_metrics(self.stage, seen, len(kept), elapsed)

    def _update(self, parts: Sequence[list[list[Sample]]]) -> dict[str, float]:
        """An update for each minibatch, in each pass over the batch; metrics are means."""
        stage = self.stage
        rate = stage.learning_rate * min(1.0, self.cursor.step / max(1, stage.warmup_steps))
        seen, lost = [], 0
        for part in [*parts] * stage.updates_per_batch:
            metrics = self.policy.forward_backward(part, self.loss)
            if all(map(math.isfinite, metrics.values())):
                metrics["grad_norm"] = self.policy.optim_step(rate, stage.max_grad_norm)
            if not all(map(math.isfinite, metrics.values())):
                self.policy.drop_gradient()
                self._not_finite(part, metrics)
                lost += 1
                continue
            self.lost_in_a_row = 0
            if not self.policy.finite():
                raise StageError(
                    f"{self.title}, step {self.cursor.step}: weights of the adapter are no numbers "
                    f"any more after an update; lower learning_rate ({rate:g})."
                )
            seen.append(metrics)
        means = {name: fmean(row[name] for row in seen) for name in seen[0]} if seen else {}
        return means | {"learning_rate": rate} | ({"lost_updates": lost} if lost else {})

    def _not_finite(self, part: Sequence[list[Sample]], metrics: dict[str, float]) -> None:
        """Say that a batch taught nothing; the third in a row ends the run, and is kept."""
        self.lost_in_a_row += 1
        names = " and ".join(name for name, value in metrics.items() if not math.isfinite(value))
        said = f"{self.title}, step {self.cursor.step}: {names} not finite, so nothing was learned"
        if self.lost_in_a_row < LOST_AT_MOST:
            progress.say(said)
            return
        file = self.folder / "not_finite.json"
        samples = [asdict(sample) for group in part for sample in group]
        replace(
            file,
            json.dumps({"metrics": {k: str(v) for k, v in metrics.items()}, "samples": samples})
            + "\n",
        )
        advice = (
            "The model's own weights may hold such numbers, or overflow in this precision "
            "(trainer.dtype)"
            if self.cursor.step <= LOST_AT_MOST and self.cursor.stage == 0
            else f"Lower learning_rate ({self.stage.learning_rate:g})"
        )
        raise StageError(
            f"{said}, {LOST_AT_MOST} times in a row; the batch is in {file}. {advice}; the best "
            f"adapter so far is in {self.folder / 'best'}."
        )

    def _note(self, metrics: dict[str, float]) -> None:
        self._log(metrics)
        if "loss" not in metrics:
            return
        self.recent.append(metrics)
        for alarm in alarms(self.recent):
            if alarm not in self.warned:
                progress.say(f"{self.title}, step {self.cursor.step}: {alarm}")
                self.warned.add(alarm)

    def _validate(self) -> None:
        """Note how the adapter does on held-out problems, and keep it if it is the best so far."""
        metrics = self._known() or validate(self.policy, self.stage, self.held_out)
        cursor, now = self.cursor, score(self.stage, metrics)
        sound = self.policy.finite()
        kept, better = sound and now >= cursor.best, sound and now > cursor.best
        if kept:
            require_held(self.folder)
            self.policy.save_adapter(self.folder / "best")
            cursor.best = now
        cursor.worse = 0 if better else cursor.worse + 1
        earlier = (row for row in rows_so_far(self.folder) if "eval_own_accuracy" in row)
        base, own = next(earlier, None), self.held_out.own
        for alarm in own_way_alarms(base, metrics, len(own)) if base and own else ():
            progress.say(f"train, validation: {alarm}")
        self._log(metrics | {"eval_best": float(kept)})
        progress.say(f"{self.title}, step {cursor.step}: {validation_note(metrics)}")

    def _known(self) -> dict[str, float] | None:
        """At a stage's start, what the one before measured of the adapter that it handed on.

        None where this stage is validated otherwise, or has rounded the weights anew.
        """
        if self.cursor.step or not self.index or self.recipe.trainer.quantization in AS_SHIPPED:
            return None
        before = self.recipe.stages[self.index - 1]
        if any(getattr(before, name) != getattr(self.stage, name) for name in _VALIDATED_BY):
            return None
        rows = (row for row in rows_so_far(self.folder) if row["stage"] == self.index - 1)
        handed_on = [row for row in rows if row.get("eval_best")]
        if not handed_on:
            return None
        found = handed_on[-1].items()
        return {k: v for k, v in found if k.startswith("eval_") and k != "eval_best"}

    def _log(self, metrics: dict[str, float]) -> None:
        self.track(log_metrics(self.folder, self.stage, self.index, self.cursor.step, metrics))
