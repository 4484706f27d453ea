"""What is said of the figures, and their arithmetic."""

from dataclasses import replace

import pytest

from srl_edge.method.headroom import Headroom, advice, class_of, duration, in_words

FOUND = Headroom(
    problems=5,
    k=4,
    solved=(0, 0, 1, 3, 4),
    cut_off=0.05,
    format_kept=0.9,
    similarity=0.4,
    spread=0.8,
    seconds=1500.0,
)


def test_pass_rates_and_shares_are_of_problems() -> None:
    assert FOUND.pass_at_1 == pytest.approx(8 / 20)
    assert FOUND.pass_at_k == pytest.approx(3 / 5)
    assert [FOUND.share(name) for name in ("never", "sometimes", "always")] == [0.4, 0.4, 0.2]
    assert [class_of(right, 4) for right in (0, 1, 3, 4)] == [
        "never",
        "sometimes",
        "sometimes",
        "always",
    ]


def test_the_figures_are_shown_and_only_those_that_there_are() -> None:
    shown = "\n".join(in_words(FOUND))
    for text in ("pass@1)         40%", "pass@4)      60%", "sometimes 40%", "25 minutes", "0.40"):
        assert text in shown
    whole = "\n".join(in_words(replace(FOUND, format_kept=None, similarity=None, spread=None)))
    assert "format" not in whole and "pass@1" in whole


@pytest.mark.parametrize(
    ("changes", "kinds", "said", "unsaid"),
    [
        ({}, ["rlvr"], "solved now and then", "never solved"),
        ({"solved": (0, 0, 0, 0, 4)}, ["srl"], "the skill is new to the model", "half"),
        ({"solved": (0, 0, 0, 0, 4)}, ["rlvr"], "begins with rlvr", "half there"),
        ({"solved": (4, 4, 4, 4, 0)}, ["srl"], "little to gain", "rollouts"),
        ({"format_kept": 0.1}, ["srl"], "begin with a short sft stage", "cut off"),
        ({"format_kept": 0.1}, ["sft"], "half there", "keep the run's format"),
        ({"cut_off": 0.5}, ["srl"], "raise trainer.own_way_tokens", "little to gain"),
    ],
)
def test_advice_follows_the_figures(
    changes: dict[str, object], kinds: list[str], said: str, unsaid: str
) -> None:
    text = " ".join(advice(replace(FOUND, **changes), kinds))  # type: ignore[arg-type]
    assert said in text and unsaid not in text


def test_times_have_two_figures_at_most() -> None:
    shown = [duration(seconds) for seconds in (12.3, 89, 91, 3600, 5401, 40000)]
    assert shown == ["12 s", "89 s", "2 minutes", "60 minutes", "1.5 hours", "11 hours"]
