"""What the steps of a trained run get right: the count so far, the event, its sign, the sum.

    python benchmarks/learning_steps.py runs/learning/srl-0 [train/stage-0-sft adapter]

Greedy steps after the expert's own steps, on validation problems of `learning.py`.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from srl_edge import recipe
from srl_edge.data import trajectories
from srl_edge.data.cutting import MARK as ANSWER_MARK
from srl_edge.method.prompts import prompt_ids, step_prompts
from srl_edge.method.types import StepPrompt
from srl_edge.models.catalog import resolve
from srl_edge.trainers.open import open_policy

PROBLEMS = 24
COLUMNS = ("count", "event", "sign", "sum", "all right", "####, last", "####, earlier")
SUM = re.compile(r"(\d+) ([-+]) (\d+) = (\d+)")


def main() -> None:
    run, *adapters = sys.argv[1:]
    settings = recipe.load(Path(run))
    policy = open_policy(resolve(settings.model.name), settings.trainer, settings.seed)
    problems = trajectories.load(Path(run, "data", "validation.jsonl"))[:PROBLEMS]
    prompts = [p for group in step_prompts(problems, "all") for p in group]
    table = Table("", *COLUMNS)
    for adapter in adapters or ["adapter"]:
        policy.load_adapter(Path(run, adapter))
        replies = policy.sample([prompt_ids(policy.tokenizer, p) for p in prompts], 1, 80, 0.0, 0)
        rows = [judged(reply.text, p) for (reply,), p in zip(replies, prompts, strict=True)]
        table.add_row(adapter, *(f"{share:.0%}" for share in shares(rows)))
    Console().print(table)


def judged(text: str, prompt: StepPrompt) -> dict[str, bool | None]:
    """What one step gets right; None where that cannot be said of it."""
    if ANSWER_MARK in prompt.expert_action:
        return dict.fromkeys(COLUMNS) | {"####, last": ANSWER_MARK in text}
    (expert,) = SUM.findall(prompt.expert_action)
    found = (SUM.findall(text) or [None])[0]
    event = found is not None and found[2] == expert[2]
    signed = {"+": 1, "-": -1}
    adds_up = found and int(found[0]) + signed[found[1]] * int(found[2]) == int(found[3])
    return {
        "count": found is not None and found[0] == expert[0],
        "event": event,
        "sign": found[1] == expert[1] if found and event else None,
        "sum": bool(adds_up) if found else None,
        "all right": found == expert,
        "####, last": None,
        "####, earlier": ANSWER_MARK in text,
    }


def shares(rows: Sequence[dict[str, bool | None]]) -> list[float]:
    """The share of each thing that is right, among those of which it can be said."""
    return [
        fmean([bool(row[key]) for row in rows if row[key] is not None] or [0.0]) for key in rows[0]
    ]


if __name__ == "__main__":
    main()
