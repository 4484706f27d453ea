"""The facts of a run, gathered from its folder."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from srl_edge import run_folder
from srl_edge.artifact import is_current
from srl_edge.errors import InputError
from srl_edge.files import read_json, read_json_if_there, read_rows
from srl_edge.method.answers.texts import as_step
from srl_edge.method.prompt_form import PromptForm
from srl_edge.method.rewards import matching_blocks
from srl_edge.recipe import Recipe
from srl_edge.report import parity_rows, rows
from srl_edge.report.parity_rows import ParityRow
from srl_edge.report.rows import BenchResults
from srl_edge.report.training_rows import Training, training_of
from srl_edge.shapes import DataReport, RolloutRow

_MIDDLE = 0.5  # the reward of an example between a close step and a broken one
_NOTES = {
    "data": ("No data yet", "data"),
    "training": ("Not trained yet", "train"),
    "examples": ("No rollouts yet", "train"),
    "artifacts": ("Nothing exported yet", "export"),
    "parity": ("The artifacts have not been compared with the trained model yet", "check"),
    "bench": ("Accuracy, speed and memory have not been measured yet", "bench"),
}


@dataclass(frozen=True, slots=True)
class Example:
    """A rollout beside the expert's step.

    action: the step that was compared, with its thought apart; the whole reply where that is
    broken. blocks: what the reward counts: (start in action, start in expert_action, length).
    """

    title: str
    rollout: RolloutRow
    expert_action: str
    thought: str
    action: str
    blocks: list[tuple[int, int, int]]

    def as_json(self) -> dict[str, Any]:
        """The rollout as it was logged, and what was made of it."""
        return {
            **self.rollout,
            "title": self.title,
            "expert_action": self.expert_action,
            "thought": self.thought,
            "action": self.action,
            "blocks": [list(block) for block in self.blocks],
        }


@dataclass(frozen=True, slots=True)
class Exported:
    """An artifact of the run, with what of its manifest a report tells."""

    name: str
    size_mb: float
    manifest: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Its name and size beside its manifest's."""
        return {"name": self.name, "size_mb": self.size_mb} | self.manifest


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What there is of a run; `missing` says of each part that is not there how to get it.

    outdated: why what a stage left is no longer what the recipe and its files give, by the stage;
    a gate that was not passed is not for that.
    data: what its stage wrote. artifacts: those of the adapter that there is now, and parity what
    the gate found of them.
    """

    recipe: Recipe
    data: DataReport | None
    training: Training | None
    examples: list[Example]
    artifacts: list[Exported]
    parity: list[ParityRow]
    bench: BenchResults | None
    bench_folder: Path
    missing: dict[str, str]
    outdated: dict[str, str]

    @property
    def warnings(self) -> list[str]:
        """A sentence for each stage that is out of date."""
        folder = shlex.quote(self.recipe.output)
        return [
            f"{stage} is out of date ({why}); `srl-edge run {folder}` runs it again."
            for stage, why in self.outdated.items()
        ]


def gather(recipe: Recipe, run: Path) -> RunFacts:
    """All facts of a run; raises InputError where there are none at all."""
    files = sorted((run / "artifacts").glob("*/manifest.json"))
    manifests = {file.parent.name: read_json(file, "Manifest") for file in files}
    current = [name for name, manifest in manifests.items() if is_current(manifest, run)]
    gated = [parity_rows.read(file) for file in sorted((run / "parity").glob("*.json"))]
    bench = run / "bench"
    found = RunFacts(
        recipe=recipe,
        data=read_json_if_there(run / "data" / "report.json", "DataReport"),
        training=training_of(read_rows(run / "train" / "metrics.jsonl", "Metrics")),
        examples=_examples(
            read_rows(run / "train" / "rollouts.jsonl", "RolloutRow"), recipe.prompt.form
        ),
        artifacts=[_artifact(name, manifests[name]) for name in current],
        parity=[row for row in gated if row.artifact in current],
        bench=rows.read(bench) if (bench / rows.FILE).is_file() else None,
        bench_folder=bench,
        missing={},
        outdated={},
    )
    folder = shlex.quote(recipe.output)
    missing = {
        part: f"{said}; run `srl-edge {stage} {folder}`."
        for part, (said, stage) in _NOTES.items()
        if not getattr(found, part)
    }
    if len(missing) == len(_NOTES):
        raise InputError(f"{run}: nothing to report yet; run `srl-edge data {folder}` first.")
    old = {
        stage: why
        for stage in list(run_folder.STAGES)[:-1]
        if any((run / output).is_file() for output in run_folder.outputs_of(recipe, stage))
        and (why := run_folder.superseded(recipe, stage))
    }
    return replace(found, missing=missing, outdated=old)


def _examples(rollouts: Sequence[RolloutRow], form: PromptForm) -> list[Example]:
    """Rollouts of the last third of the SRL steps: the closest, a middle one, a broken one."""
    order = sorted({(r["stage"], r["step"]) for r in rollouts})
    late = set(order[len(order) * 2 // 3 :])
    recent = [r for r in rollouts if (r["stage"], r["step"]) in late]
    scored = [r for r in recent if not r["fault"]]
    chosen: list[tuple[str, RolloutRow]] = []
    if scored:
        # An exact copy would not show how the reward grades.
        best = max([r for r in scored if r["reward"] < 1] or scored, key=lambda r: r["reward"])
        chosen.append(("Close to the expert's step", best))
        others = [r for r in scored if r["trajectory_id"] != best["trajectory_id"]]
        if others := [r for r in others if r["reward"] < best["reward"]]:
            middle = min(others, key=lambda r: abs(r["reward"] - _MIDDLE))
            chosen.append(("A step of middling reward", middle))
    if broken := [r for r in recent if r["fault"]]:
        chosen.append(("A broken format", broken[-1]))
    return [_example(title, rollout, form) for title, rollout in chosen]


def _example(title: str, rollout: RolloutRow, form: PromptForm) -> Example:
    expert = as_step(rollout["expert_action"])
    reply = form.read(rollout["completion"], rollout["finished"])
    if reply.fault:
        # Shown as it was written: that is where the fault can be seen.
        return Example(title, rollout, expert, "", rollout["completion"], [])
    blocks = matching_blocks(reply.action, expert)
    return Example(title, rollout, expert, reply.thought, reply.action, blocks)


def _artifact(name: str, manifest: dict[str, Any]) -> Exported:
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    left_out = ("files", "base", "licence", "chat_template_sha256")
    told = {k: v for k, v in manifest.items() if k not in left_out}
    return Exported(name, size / 1e6, told)
