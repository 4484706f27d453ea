"""The core of chat and server: pieces, replies and steps of a real tiny artifact."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.serving.model import Model, Reply, Sampling
from srl_edge.devices.serving.sampling import chooser
from srl_edge.devices.serving.text import ReplyText, divided
from srl_edge.errors import InputError
from srl_edge.method.solving import Attempt, solve
from srl_edge.method.types import Trajectory
from tests.helpers.artifacts import CONTEXT

CHAT = [{"role": "user", "content": "Ann has 12 cats and 30 dogs."}]


@pytest.fixture(scope="module")
def model(artifact: Path) -> Model:
    return Model(artifact)


def pieces_of(model: Model, sampling: Sampling) -> tuple[list[str], Reply]:
    *pieces, reply = model.stream(CHAT, sampling)
    assert isinstance(reply, Reply)
    return [str(piece) for piece in pieces], reply


def test_pieces_make_up_the_greedy_reply(model: Model) -> None:
    pieces, reply = pieces_of(model, Sampling(max_new_tokens=40))
    ids = model.chat.read(model.chat.render(CHAT))
    expected = greedy(model._runtime, ids, 40, model._stops)
    ended = expected[-1] in model._stops
    assert "".join(pieces) == reply.text == model.chat.decode(expected[: -1 if ended else None])
    assert reply.completion_tokens == len(expected) and reply.prompt_tokens == len(ids)
    assert len(pieces) > 3 and 0 < reply.seconds_to_first < reply.seconds
    assert reply.finish_reason == ("stop" if ended else "length")


@pytest.mark.parametrize("seed", range(6))
def test_drawn_replies_are_whole_text_and_the_seed_says_which(model: Model, seed: int) -> None:
    sampling = Sampling(max_new_tokens=60, temperature=3.0, top_p=0.98, seed=seed)
    pieces, reply = pieces_of(model, sampling)
    assert "".join(pieces) == reply.text and pieces_of(model, sampling)[1].text == reply.text
    others = {pieces_of(model, Sampling(60, 3.0, 0.98, seed + 10 + n))[1].text for n in range(3)}
    assert reply.text not in others


def test_a_stop_ends_a_reply_wherever_tokens_part_it(model: Model) -> None:
    _, whole = pieces_of(model, Sampling(max_new_tokens=40))
    for at in range(1, len(whole.text) - 4, 3):
        stop = whole.text[at : at + 4]
        pieces, reply = pieces_of(model, Sampling(max_new_tokens=40, stop=("never", stop)))
        assert "".join(pieces) == reply.text == whole.text[: whole.text.index(stop)]
        assert reply.finish_reason == "stop"


def test_what_may_begin_a_stop_is_held_back() -> None:
    rng = random.Random(0)
    for _ in range(500):
        text = "".join(rng.choice("ab€") for _ in range(30))
        stops = ["".join(rng.choice("ab€") for _ in range(rng.randint(1, 4))) for _ in range(2)]
        shown, said = ReplyText(stops), ""
        for character in text:
            said += shown.add(character)
            assert not any(stop in said for stop in stops)
            if shown.stopped:
                break
        said += "" if shown.stopped else shown.rest()
        ends = [text.index(stop) for stop in stops if stop in text]
        assert said == shown.text
        assert text.startswith(said)
        # Of two that end together, the one that is whole first counts.
        assert len(said) >= min(ends) if ends else said == text


def test_a_thought_is_told_from_the_answer() -> None:
    assert divided("<think>a b</think>\nc") == ("a b", "c")
    assert divided("<think>never ends") == ("never ends", "")
    assert divided(" c <think>d</think>") == ("", "c <think>d</think>")


def test_a_solution_is_asked_for_as_in_training(
    model: Model, word_problems: list[dict[str, str]]
) -> None:
    problem = word_problems[3]["problem"]
    assert model.trained_step_by_step

    def reply(attempts: Sequence[Attempt]) -> list[tuple[str, bool]]:
        ids = greedy(model._runtime, model.chat.of_attempt(attempts[0]), 60, model._stops)
        ended = ids[-1] in model._stops
        return [(model.chat.decode(ids[:-1] if ended else ids), ended)]

    t = Trajectory("1", problem, (), "7")
    (attempt,) = solve([t], reply, 4, lambda: None, model.asked.form)
    steps = list(model.solve(problem, 4, Sampling(max_new_tokens=60)))
    assert [step.text for step in steps] == attempt.replies and len(steps) > 1
    assert steps[0].thought and "<think>" not in steps[0].answer


def test_what_fits_no_context_is_said(model: Model) -> None:
    long = [{"role": "user", "content": "cats and dogs " * 400}]
    with pytest.raises(InputError, match=r"the prompt has \d+ tokens, and onnx-fp32 takes 512"):
        next(model.stream(long))
    _, full = pieces_of(model, Sampling(max_new_tokens=10_000, temperature=5.0, seed=1))
    assert full.prompt_tokens + full.completion_tokens <= CONTEXT


def test_a_model_that_failed_or_was_left_goes_on_from_a_clean_cache(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reply = pieces_of(model, Sampling(max_new_tokens=20))
    going = model.stream(CHAT, Sampling(max_new_tokens=20, temperature=2.0, seed=0))
    next(going), next(going)
    assert pieces_of(model, Sampling(max_new_tokens=20))[1].text == reply.text
    with monkeypatch.context() as patched:
        patched.setattr(model._runtime, "decode", lambda token: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(model.stream(CHAT))
    assert not model._sound
    assert pieces_of(model, Sampling(max_new_tokens=20))[1].text == reply.text and model._sound


def test_a_model_folder_has_its_own_context_and_takes_a_smaller_one(tiny_model: Path) -> None:
    model = Model(tiny_model, context=64)
    assert model.context_length == 64 and not model.trained_step_by_step
    assert len(list(model.solve("Ann has 12 cats.", sampling=Sampling(4)))) == 1  # one whole reply
    with pytest.raises(InputError, match="takes up to 2048 tokens of context, not 4096"):
        Model(tiny_model, context=4096)
    assert model.reply("Ann has 12 cats.", Sampling(3)).completion_tokens <= 3


def test_tools_are_told_though_the_template_has_no_place_for_them(tiny_model: Path) -> None:
    model = Model(tiny_model, context=512)
    tools = [{"type": "function", "function": {"name": "water_plants"}}]
    told = model.reply(CHAT, Sampling(3), tools)
    assert told.prompt_tokens > model.reply(CHAT, Sampling(3)).prompt_tokens + 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"stop": ("",)},
    ],
)
def test_sampling_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))}: "):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_draws_follow_the_probabilities_and_top_p_cuts_the_tail() -> None:
    logits = np.log(np.array([0.1, 0.6, 0.25, 0.05], np.float32))
    draw = chooser(1.0, 1.0, 0)
    shares = np.bincount([draw(logits) for _ in range(4000)], minlength=4) / 4000
    assert np.abs(shares - [0.1, 0.6, 0.25, 0.05]).max() < 0.03
    cut = chooser(1.0, 0.8, -3)  # OpenAI's seeds may be negative
    assert {cut(logits) for _ in range(300)} == {1, 2}
    assert {chooser(1.0, 0.5, n)(logits) for n in range(50)} == {1}
    assert chooser(0.0)(logits) == 1
