"""A run folder as its stages would have left it, for reports and cards, without running any."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from srl_edge import owned
from srl_edge.method.prompt_form import DEFAULT
from srl_edge.method.rewards import similarity
from srl_edge.recipe import Model, Recipe, Stage
from srl_edge.report import parity_rows, rows
from srl_edge.report.parity_rows import (
    LongText,
    Measured,
    NextTokens,
    OtherToken,
    ParityRow,
    Readings,
    judged,
)
from srl_edge.report.rows import (
    HELD_OUT,
    OWN_WAY,
    Answers,
    BenchResults,
    Difference,
    Gain,
    ModelRow,
    Paired,
    Spread,
    StepSimilarity,
)
from srl_edge.run_folder import finish, inputs_of, outputs_of

EXPERT = "So 3 boxes hold 3*12=36 eggs"
EVIL = "<think>How many?</think>\n<script>alert('x')</script> & 36 eggs"
SIZES = {
    "torch base": 541.0,
    "torch after sft": 561.0,
    "torch tuned": 541.0,
    "executorch-8da4w": 139.2,
    "onnx-int4": 118.7,
    "onnx-int8": 165.3,
}


def recipe_of(run: Path) -> Recipe:
    stages = (Stage(kind="sft", steps=20), Stage(kind="srl", steps=40))
    return Recipe(output=str(run), model=Model(name="smollm2-135m-instruct"), stages=stages)


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = value if path.suffix == ".jsonl" else [value]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_data(run: Path) -> None:
    splits = {"train": 1120, "validation": 150, "test": 200}
    write(
        run / "data" / "report.json",
        {
            "read": 1700,
            "kept": 1470,
            "source": "gsm_symbolic",
            "dropped": {"a step longer than 160 characters": 110, "wrong <b>arithmetic</b>": 120},
            "splits": {name: {"problems": n, "steps": 4 * n} for name, n in splits.items()},
        },
    )


def write_training(run: Path) -> None:
    rng = Random(0)
    rows: list[dict[str, Any]] = []
    for stage, (kind, steps) in enumerate((("sft", 20), ("srl", 40))):
        for step in range(steps + 1):
            at: dict[str, Any] = {"stage": stage, "kind": kind, "step": step}
            gain = step / steps
            row = {"loss": 0.8 + 1.7 * 0.8**step, "grad_norm": 0.6, "step_time": 4.2}
            if kind == "srl":
                shares = {"format": 0.82 + 0.15 * gain, "similarity": 0.42 + 0.12 * gain}
                row |= {f"rewards/{k}/mean": v + rng.gauss(0, 0.02) for k, v in shares.items()}
                row |= {"reward": 0.2 + 0.25 * gain + rng.gauss(0, 0.06), "keep_rate": 1.0}
            if step:
                rows.append(at | row)
            if step in (0, steps):
                rows.append(
                    at
                    | {
                        "eval_reward": -1.0 if stage + step == 0 else 0.3 + stage * gain * 0.2,
                        "eval_format": 0.0 if stage + step == 0 else 0.9,
                        "eval_similarity": 0.4,
                        "eval_clipped_ratio": 0.1,
                        "eval_best": 1.0,
                    }
                )
    write(run / "train" / "metrics.jsonl", rows)
    completions = (
        ("<think>One step at a time.</think>\nSo 3 boxes hold 3*12=38 eggs in all", True),
        (f"<think>The numbers I need: 3, 12.</think>\n{EXPERT}", True),
        (EVIL, True),
        ("There are <img src=x> eggs and so on and so", False),
    )
    write(
        run / "train" / "rollouts.jsonl",
        [
            rollout(step, group, *completion)
            for step in range(1, 41)
            for group, completion in enumerate(completions)
        ],
    )


def rollout(step: int, group: int, text: str, finished: bool) -> dict[str, Any]:
    reply = DEFAULT.read(text, finished)
    ratio = similarity(reply.action, EXPERT)
    return {
        "stage": 1,
        "kind": "srl",
        "step": step,
        "trajectory_id": f"t-{group}",
        "step_index": 1,
        "rollout": 0,
        "problem": "A box holds 12 eggs. Mara packs 3 boxes and sells 10 eggs. How many are left?",
        "previous_steps": ["A box holds 12 eggs"],
        "expert_action": EXPERT,
        "completion": text,
        "finished": finished,
        "reward": -1.0 if reply.fault else ratio,
        "parts": {"format": 0.0} if reply.fault else {"format": 1.0, "similarity": ratio},
        "fault": reply.fault,
    }


def write_artifacts(run: Path) -> None:
    for name in list(SIZES)[3:]:
        format_, _, quantization = name.partition("-")
        write(
            run / "artifacts" / name / "manifest.json",
            {
                "format": format_,
                "quantization": quantization,
                "options": {},
                "family": "llama",
                "context_length": 1024,
                "merged_sha256": "0" * 64,
                "tools": {"torch": "2.9.0"},
                "files": {"model": {"bytes": int(SIZES[name] * 1e6), "sha256": "0" * 64}},
            },
        )


def parity_row(name: str, agreement: float, least: float) -> ParityRow:
    where = OtherToken("gsm_symbolic-28-912", 2, 4, expected=" 8", got=" 12")
    tokens = NextTokens(611, 0, agreement, 0, agreement, 0.0123, 2.31, where)
    measured = Measured(
        artifact=name,
        prompts=16,
        readings=Readings(66, 66, None, 64, None, [2], [2], True),
        next_tokens=tokens,
        agreement_threshold=least,
        greedy_texts_equal=9,
        greedy_tokens_before_first_difference=0.8,
        long=[LongText(1024, replace(tokens, agreement=0.9))],
        adapter=None,
        answers=Paired(problems=8, lost=1, won=0, sign_test=1.0),
        peak_memory_mib=512.0,
        reference="merged",
    )
    return judged(measured, [f"{name}: agrees too seldom."] if agreement < least else [])


def write_parity(run: Path) -> None:
    agreements = {"onnx-int8": (0.985, 0.95), "onnx-int4": (0.871, 0.75)}
    for name, found in (agreements | {"executorch-8da4w": (0.71, 0.75)}).items():
        write(run / "parity" / f"{name}.json", parity_rows.as_json(parity_row(name, *found)))


def answers_of(share: float, n: int, lost: int = 0) -> Answers:
    half = 2 * (share * (1 - share) / n) ** 0.5
    interval = (max(0.0, share - half), min(1.0, share + half))
    steps = StepSimilarity(24, 0, 0.512, (0.4, 0.6), 0.9)
    return Answers(n, lost, share, interval, share / 2, 6.0, None, 300.0, steps)


def write_bench(
    run: Path, base: float = 0.0, tuned: float = 0.208, n: int = 24, lost: int = 0
) -> None:
    speeds = {
        "torch base": None,
        "torch after sft": None,
        "torch tuned": 21.9,
        "executorch-8da4w": 34.1,
        "onnx-int4": 52.3,
        "onnx-int8": 47.6,
    }
    solved = {
        "torch base": base,
        "torch after sft": base,
        "torch tuned": tuned,
        "executorch-8da4w": 0.125,
    }
    own = {"torch base": 0.25, "torch tuned": 0.125}

    def several(speed: float | None, times: float = 1.0) -> Spread | None:
        return Spread(speed * times, 0.8, speed * times, speed * times + 1) if speed else None

    measured = []
    for name, speed in speeds.items():
        lost_here = lost if name == "onnx-int8" else 0
        tasks = {HELD_OUT: answers_of(solved.get(name, 0.167), n, lost_here)}
        tasks |= {OWN_WAY: answers_of(own[name], 16)} if name in own else {}
        measured.append(
            ModelRow(
                name=name,
                backend=name.partition(" ")[0].partition("-")[0],
                size_mb=SIZES[name],
                load_seconds=2.0,
                time_to_first_token=several(speed, 0.1),
                prefill_tokens_per_second=several(speed, 8),
                decode_tokens_per_second=several(speed),
                joules_per_token=None,
                prompt_tokens=256,
                peak_memory_mib=900.0 + SIZES[name],
                load_average=1.9,
                machine=None,
                state={},
                tasks=tasks,
            )
        )
    device = {
        "processor": "Example CPU @ 2.50GHz",
        "cores": 2,
        "threads": 2,
        "system": "Linux x86_64",
        "python": "3.11.9",
        "tools": {"torch": "2.9.0", "onnxruntime": "1.28.0"},
    }
    change = Difference(tuned - base, tuned - base - 2 / n, tuned - base + 2 / n)
    gain = {
        "best": Gain(base, tuned, n, 0, 5, 0.06, change, "as the run asks"),
        "own_way": Gain(0.25, 0.125, 16, 2, 0, 0.5, Difference(-0.125, -0.25, 0.0)),
        "last_stage": Gain(base, tuned, n, 0, 5, 0.06, change, "torch after sft"),
        "onnx-int4": Gain(
            tuned, tuned - 0.1 * (tuned - base), n, 0, 0, 1.0, Difference(-0.02, -0.1, 0.06)
        ),
    }
    settings = recipe_of(run).bench.model_dump() | {"limit": n}
    rows.write(run / "bench", BenchResults("2026-01-01", device, settings, measured, gain))


def note_trained(recipe: Recipe) -> None:
    """Note that the adapter which is there was trained on the data and by the recipe of now."""
    finish(recipe, "train", inputs_of(recipe, "train"))


def note_found(recipe: Recipe, *names: str, **more: Any) -> None:
    """Note that the gate and the benchmark found what is there, of the run as it is."""
    for name in names or ("check", "bench"):
        for output in outputs_of(recipe, name):
            file = recipe.run / output
            if file.is_file():
                text = file.read_text(encoding="utf-8")
                file.unlink()
                owned.write(file, text)
        finish(recipe, name, inputs_of(recipe, name) | more)


def whole_run(folder: Path) -> Path:
    """A run with everything but weights."""
    for part in (write_data, write_training, write_artifacts, write_parity, write_bench):
        part(folder)
    note_found(recipe_of(folder))
    return folder
