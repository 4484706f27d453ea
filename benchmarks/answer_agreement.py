"""Our judging of answers beside lm-evaluation-harness's and math-verify's, on the same replies.

    python benchmarks/answer_agreement.py rollouts.jsonl --trajectories data/train.jsonl

Rows hold a `completion`, and an `answer` or the `trajectory_id` of one that has it; or they are
those of a `samples_*.jsonl` that `srl-edge bench-tasks` wrote. lm-eval is asked as its gsm8k task
filters, strictly and flexibly, and as its hendrycks_math task compares boxes; our own readings of
those two filters stand beside them. math-verify reads the whole reply by itself. Prints how many
replies each finds right, and those on which they differ; the exit code is 1 where a reading of
ours is not what lm-eval's filter finds.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from srl_edge.method.answers import extraction
from srl_edge.method.verifiers import given_answer, is_correct

sys.path.append(str(Path(sys.prefix) / "lm_eval"))


def flexible(reply: str, answer: str) -> bool:
    """lm-eval's gsm8k, flexible-extract."""
    return _filtered(reply, answer, r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)


def strict(reply: str, answer: str) -> bool:
    """lm-eval's gsm8k, strict-match."""
    return _filtered(reply, answer, r"#### (\-?[0-9\.\,]+)", 0)


def _filtered(reply: str, answer: str, pattern: str, group: int) -> bool:
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter

    ((found,),) = RegexFilter(regex_pattern=pattern, group_select=group).apply([[reply]], [{}])
    result = exact_match_hf_evaluate(
        predictions=[found],
        references=[answer],
        ignore_case=True,
        ignore_punctuation=False,
        regexes_to_ignore=[",", "\\$", "(?s).*#### ", "\\.$"],
    )
    return bool(result["exact_match"])


def boxed(reply: str, answer: str) -> bool:
    """lm-eval's hendrycks_math: the last box, compared as text after its normalization."""
    from lm_eval.tasks.hendrycks_math.utils import (
        is_equiv,
        last_boxed_only_string,
        remove_boxed,
    )

    found = last_boxed_only_string(reply)
    try:
        return bool(found) and bool(is_equiv(remove_boxed(found), answer))
    except (AssertionError, IndexError):
        return False


def verified(reply: str, answer: str) -> bool:
    """math-verify alone, on the reply as it is."""
    from math_verify import parse, verify

    try:
        return bool(verify(parse(f"${answer}$"), parse(reply)))
    except Exception:
        return False


FLEXIBLY, STRICTLY = "our flexible extract", "our strict match"
SAME = ((FLEXIBLY, "lm-eval gsm8k"), (STRICTLY, "lm-eval gsm8k, strict"))
JUDGES: dict[str, Callable[[str, str], bool]] = {
    "ours": is_correct,
    "lm-eval gsm8k": flexible,
    "lm-eval gsm8k, strict": strict,
    FLEXIBLY: lambda reply, answer: extraction.same(extraction.flexible(reply), answer),
    STRICTLY: lambda reply, answer: extraction.same(extraction.strict(reply), answer),
    "lm-eval math": boxed,
    "math-verify": verified,
}


def replies(file: Path, trajectories: Path | None) -> Iterator[tuple[str, str]]:
    """Replies with their right answers."""
    known: dict[str, str] = {}
    if trajectories:
        rows = map(json.loads, trajectories.open(encoding="utf-8"))
        known = {row["id"]: row["answer"] for row in rows}
    for line in file.open(encoding="utf-8"):
        row = json.loads(line)
        if "resps" in row:
            yield from ((reply, row["target"]) for reply in row["resps"][0])
            continue
        yield row["completion"], row.get("answer") or known[row["trajectory_id"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("replies", type=Path)
    parser.add_argument("--trajectories", type=Path, help="where the answers are")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--json", type=Path, help="where the counts go")
    options = parser.parse_args()
    right: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    differing: list[dict[str, Any]] = []
    rows = list(replies(options.replies, options.trajectories))[: options.limit]
    for reply, answer in rows:
        found = {name: judge(reply, answer) for name, judge in JUDGES.items()}
        right.update(name for name, good in found.items() if good)
        alike.update(name for name, good in found.items() if good == found["ours"])
        if len(set(found.values())) > 1:
            shown = {"answer": answer, "read": given_answer(reply, answer), "end": reply[-80:]}
            differing.append(found | shown)
    for row in differing:
        print(json.dumps(row, ensure_ascii=False))
    figures = {name: {"right": right[name], "as ours": alike[name]} for name in JUDGES}
    print(json.dumps({"replies": len(rows), **figures}, indent=1))
    if options.json:
        options.json.write_text(json.dumps({"replies": len(rows), **figures}, indent=1) + "\n")
    if any(row[mine] != row[theirs] for row in differing for mine, theirs in SAME):
        sys.exit("one of our two readings differs from lm-eval's filter.")


if __name__ == "__main__":
    main()
