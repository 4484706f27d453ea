"""Solutions in the model's own words, as data for a warm-up or for the steps of SRL.

    python benchmarks/retold.py RUN --problems 700 --out retold.jsonl
    python benchmarks/retold.py RUN --alone --tries 4 --out own.jsonl --sometimes sometimes.jsonl

RUN is a run folder whose data stage is done. The model is shown each problem of the training split
with the expert's solution, explains it, and what it wrote is kept where the answer is right and
every result of the expert's is in it, in order. alone: it is shown the problem without a solution,
and each right reply is kept. sometimes: where to write the problems that some tries solved and
others did not, with the expert's steps. Rows hold `problem`, `steps` or `solution`, and `answer`.
"""

import argparse
import json
import time
from pathlib import Path

from srl_edge import recipe
from srl_edge.data import trajectories
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.prompts import prompt_ids
from srl_edge.method.rewards import results_reached
from srl_edge.method.types import StepPrompt, Trajectory
from srl_edge.method.verifiers import is_marked_correct
from srl_edge.models.catalog import resolve
from srl_edge.trainers.open import open_policy
from srl_edge.trainers.policy.contract import Policy

AT_ONCE = 128
SHOWN = (
    "{problem}\n\nHere is a short correct solution:\n{solution}\nThe answer is {answer}.\n\nPlease "
    "explain this solution step by step in your own words, and put the final answer within "
    r"\boxed{{}}."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--problems", type=int, default=700)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--tries", type=int, default=1)
    parser.add_argument("--sometimes", type=Path)
    parser.add_argument("--seconds", type=float, default=1e9, help="at most, about")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    settings = recipe.load(options.run)
    policy = open_policy(resolve(settings.model.name), settings.trainer, settings.seed)
    split = trajectories.load(options.run / "data" / "train.jsonl")[: options.problems]
    start, right, kept = time.monotonic(), 0, 0
    mixed: list[dict[str, object]] = []
    with options.out.open("w", encoding="utf-8") as out:
        for at in range(0, len(split), AT_ONCE // options.tries):
            if time.monotonic() - start > options.seconds:
                break
            rows = split[at : at + AT_ONCE // options.tries]
            ids = [asked(policy, t, settings.prompt.form, options.alone) for t in rows]
            groups = policy.sample(ids, options.tries, 400, 0.7, settings.seed + at)
            for t, group in zip(rows, groups, strict=True):
                asked_for = (t.answer or "", DEFAULT, t.problem)
                texts = [r.text for r in group if r.finished]
                texts = [text for text in texts if is_marked_correct(text, *asked_for)]
                right += len(texts)
                if 0 < len(texts) < options.tries:
                    mixed.append({"problem": t.problem, "steps": t.steps, "answer": t.answer})
                for row in [row for text in texts if (row := kept_row(t, text, options.alone))]:
                    kept += 1
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            seconds = time.monotonic() - start
            print(f"{at + len(rows)}: {right} right, {kept} kept, {seconds:.0f} s", flush=True)
    if options.sometimes:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in mixed]
        options.sometimes.write_text("".join(lines), encoding="utf-8")


def asked(policy: Policy, t: Trajectory, form: PromptForm, alone: bool) -> tuple[int, ...]:
    """The prompt in tokens: the problem in the model's own way, or with the solution."""
    lines = [x for s in t.steps for x in s.split("\n") if "\\boxed" not in x]
    text = SHOWN.format(problem=t.problem, solution="\n".join(lines), answer=t.answer)
    text = t.problem if alone else text
    prompt = StepPrompt(t.id, 0, text, (), "", t.answer, whole=True, form=form)
    return prompt_ids(policy.tokenizer, prompt)


def kept_row(t: Trajectory, text: str, alone: bool) -> dict[str, object] | None:
    """A row of a right reply; None where it was shown results that it does not hold."""
    if alone:
        return {"problem": t.problem, "solution": text.strip(), "answer": t.answer}
    if results_reached(text, "\n".join(t.steps)) <= 0.99:
        return None
    first, _, rest = text.strip().partition("\n")
    return {"problem": t.problem, "steps": [first, rest], "answer": t.answer}


if __name__ == "__main__":
    main()
