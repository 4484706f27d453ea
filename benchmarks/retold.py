"""Expert solutions told again by the model itself, as data for a warm-up in its own words.

    python benchmarks/retold.py RUN --problems 700 --out retold.jsonl

RUN is a run folder whose data stage is done. The model is shown each problem of the training split
with the expert's solution, explains it, and what it wrote is kept where the answer is right and
every result of the expert's is in it, in order. Rows hold `problem`, `steps` and `answer`.
"""

import argparse
import json
import time
from pathlib import Path

from srl_edge import recipe
from srl_edge.data import trajectories
from srl_edge.method.prompts import prompt_ids
from srl_edge.method.rewards import results_reached
from srl_edge.method.types import StepPrompt
from srl_edge.method.verifiers import is_marked_correct
from srl_edge.models.catalog import resolve
from srl_edge.trainers.open import open_policy

AT_ONCE = 64
SHOWN = (
    "{problem}\n\nHere is a short correct solution:\n{solution}\nThe answer is {answer}.\n\nPlease "
    "explain this solution step by step in your own words, and put the final answer within "
    r"\boxed{{}}."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--problems", type=int, default=700)
    parser.add_argument("--seconds", type=float, default=1e9, help="at most, about")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    settings = recipe.load(options.run)
    policy = open_policy(resolve(settings.model.name), settings.trainer, settings.seed)
    split = trajectories.load(options.run / "data" / "train.jsonl")[: options.problems]
    start, right, kept = time.monotonic(), 0, 0
    with options.out.open("w", encoding="utf-8") as out:
        for at in range(0, len(split), AT_ONCE):
            if time.monotonic() - start > options.seconds:
                break
            rows = split[at : at + AT_ONCE]
            ids = []
            for t in rows:
                lines = [x for s in t.steps for x in s.split("\n") if "\\boxed" not in x]
                asked = SHOWN.format(problem=t.problem, solution="\n".join(lines), answer=t.answer)
                form = settings.prompt.form
                prompt = StepPrompt(t.id, 0, asked, (), "", t.answer, whole=True, form=form)
                shown = prompt_ids(policy.tokenizer, prompt)
                ids.append(shown)
            groups = policy.sample(ids, 1, 400, 0.7, settings.seed + at)
            for t, (reply,) in zip(rows, groups, strict=True):
                good = reply.finished and is_marked_correct(reply.text, t.answer or "")
                right += good
                if good and results_reached(reply.text, "\n".join(t.steps)) > 0.99:
                    kept += 1
                    first, _, rest = reply.text.strip().partition("\n")
                    row = {"problem": t.problem, "steps": [first, rest], "answer": t.answer}
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            seconds = time.monotonic() - start
            print(f"{at + len(rows)}: {right} right, {kept} kept, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
