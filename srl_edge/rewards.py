"""The SRL reward: how similar the step is to the expert's, or the penalty for a broken format."""

from typing import Any

try:
    # Bit-identical to difflib and about fifteen times faster (tested against it).
    from cydifflib import SequenceMatcher
except ImportError:
    from difflib import SequenceMatcher  # type: ignore[assignment]

from srl_edge.prompts import read_reply
from srl_edge.types import Reward, Rollout, StepPrompt

FORMAT_PENALTY = -1.0


def similarity(prediction: str, expert: str, autojunk: bool = False) -> float:
    """2M / T of difflib's matching blocks over characters, in [0, 1].

    Python's own default, autojunk on, drops frequent characters of any text of 200 characters or
    more and makes the ratio depend on the order of its arguments; so it is off here.
    Source: arXiv 2510.25992, section 4.2.
    """
    return float(SequenceMatcher(None, prediction, expert, autojunk=autojunk).ratio())


def matching_blocks(prediction: str, expert: str) -> list[tuple[int, int, int]]:
    """The blocks that `similarity` counts: (start in prediction, start in expert, length)."""
    matcher: Any = SequenceMatcher(None, prediction, expert, autojunk=False)
    return [(b.a, b.b, b.size) for b in matcher.get_matching_blocks() if b.size]


def step_reward(rollout: Rollout, prompt: StepPrompt) -> Reward:
    """Similarity of the action to the expert's step, or -1 where the format is broken.

    The thought is never scored. Source: arXiv 2510.25992, section 4.2.
    """
    reply = read_reply(rollout.text, rollout.finished)
    if reply.fault:
        return Reward(FORMAT_PENALTY, {"format": 0.0}, reply.fault)
    ratio = similarity(reply.action, prompt.expert_action.strip())
    return Reward(ratio, {"format": 1.0, "similarity": ratio})
