"""Several attempts at a problem: the chance that one of k is right, and what most of them say."""

from collections.abc import Sequence
from math import comb

from srl_edge.method.solving import Attempt
from srl_edge.method.verifiers import same_value


def pass_at(k: int, attempts: int, right: int) -> float:
    """The chance that of k attempts, drawn without replacement from n, one is right at least.

    The unbiased estimate of arXiv 2107.03374, section 2.1.
    """
    return 1.0 - comb(attempts - right, k) / comb(attempts, k)


def majority(attempts: Sequence[Attempt], verifier: str = "auto") -> float:
    """Whether the answer that most attempts give is the right one: 1 or 0; of a tie, its share.

    Answers that the verifier finds equal are one; attempts without an answer do not vote.
    """
    right = sum(attempt.correct for attempt in attempts)
    wrong: dict[str, int] = {}
    for attempt in attempts:
        if (given := attempt.given) is not None and not attempt.correct:
            same = next((other for other in wrong if same_value(given, other, verifier)), given)
            wrong[same] = wrong.get(same, 0) + 1
    votes = [right, *wrong.values()]
    return 1 / votes.count(right) if right == max(votes) > 0 else 0.0
