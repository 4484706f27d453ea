"""From scored samples to the figures of a model at a task."""

from collections.abc import Sequence
from statistics import fmean

from srl_edge.method.voting import pass_at
from srl_edge.report.rows import Answers, Batching, Score, StepSimilarity
from srl_edge.report.statistics import bootstrap_interval


def answers(
    scores: Sequence[Score],
    steps: StepSimilarity | None = None,
    alone: Sequence[tuple[Score, bool]] = (),
) -> Answers:
    """Share of correct attempts with its 95% interval over problems, lost ones counted as wrong.

    alone: scores of problems that were solved in a batch and then one at a time, and whether the
    replies differed; what one problem takes is then theirs.
    """
    correct = [score.correct for score in scores]
    kept = [score for score in scores if not score.lost]
    single = [score for score, _ in alone if not score.lost]
    single = single or [score for score in kept if not score.batched]
    seconds = [score.seconds for score in single if score.seconds is not None]
    joules = [score.joules for score in single if score.joules is not None]
    known = bool(joules) and len(joules) == len(single) and sum(correct) > 0
    replies = sum(score.replies for score in kept)
    most = max((score.attempts for score in kept), default=1)
    return Answers(
        problems=len(scores),
        lost=len(scores) - len(kept),
        accuracy=fmean(correct),
        accuracy_interval=bootstrap_interval(correct),
        marked=fmean(score.marked for score in scores),
        seconds_per_problem=fmean(seconds) if seconds else None,
        joules_per_correct=fmean(joules) * len(kept) / sum(correct) if known else None,
        reply_characters=sum(s.characters for s in kept) / replies if replies else None,
        step_similarity=steps,
        strict=_share(scores, [score.strict for score in kept]),
        flexible=_share(scores, [score.flexible for score in kept]),
        pass_at={k: _pass_at(k, most, scores) for k in range(1, most + 1)} if most > 1 else {},
        majority=sum(score.majority for score in kept) / len(scores) if most > 1 else None,
        batching=_batching(kept, alone),
        cut_off=sum(score.cut_off for score in kept) / len(scores),
    )


def _share(scores: Sequence[Score], measured: Sequence[float | None]) -> float | None:
    """The mean over all problems, if it was measured in each that was not lost."""
    found = [value for value in measured if value is not None]
    return sum(found) / len(scores) if found and len(found) == len(measured) else None


def _pass_at(k: int, attempts: int, scores: Sequence[Score]) -> float:
    return fmean(pass_at(k, attempts, round(score.correct * attempts)) for score in scores)


def _batching(kept: Sequence[Score], alone: Sequence[tuple[Score, bool]]) -> Batching | None:
    seconds = [score.seconds for score in kept if score.batched and score.seconds is not None]
    if not seconds:
        return None
    compared = [differs for score, differs in alone if not score.lost]
    return Batching(fmean(seconds), len(compared), sum(compared))


def so_far(scores: Sequence[Score]) -> str:
    """How many problems are solved of those that were tried."""
    return f"{sum(score.correct for score in scores):g} of {len(scores)}"
