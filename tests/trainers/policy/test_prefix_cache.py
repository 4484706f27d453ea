"""A solution's next step: what the step before has read is not read again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from srl_edge.method.prompt_form import DEFAULT
from srl_edge.method.types import Rollout, Trajectory
from srl_edge.recipe import Stage
from srl_edge.trainers.loop.batches import solve_by_policy
from srl_edge.trainers.policy.contract import Policy
from srl_edge.trainers.policy.packing import PrefixCache, gathered, pack, passes
from srl_edge.trainers.torch_backend.decoder import Decoder
from tests.helpers.fakes import TablePolicy
from tests.helpers.policies import open_policy

CLOSING = (1, 7, 8)
NEXT = "<think>a</think>one more"


def texts(count: int, length: int, seed: int) -> list[tuple[int, ...]]:
    rng = Random(seed)
    return [tuple(rng.randrange(3, 512) for _ in range(length)) for _ in range(count)]


def on_torch(model: Path, _scratch: Path) -> tuple[Policy, type]:
    return open_policy(model), Decoder


def on_mlx(model: Path, scratch: Path) -> tuple[Policy, type]:
    pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    from srl_edge.trainers.mlx_backend.decoder import MlxDecoder
    from tests.helpers.mlx import twins

    return twins(model, scratch)[1], MlxDecoder


@pytest.mark.parametrize("backend", [on_torch, on_mlx])
def test_prompts_that_go_on_give_the_same_samples_from_their_rows_alone(
    family_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: Callable[[Path, Path], tuple[Policy, type]],
) -> None:
    policy, decoder = backend(family_model, tmp_path)
    problems = texts(3, 60, 0)
    steps = texts(4, 9, 1)
    first = [(*problem, *CLOSING) for problem in problems]
    # Two go on from one problem, each by its own step; the last is longer than a sliding window.
    second = [
        (*problems[which], *step, *CLOSING) for which, step in zip((0, 0, 1, 2), steps, strict=True)
    ]
    third = [(*prompt[:-3], *step, *CLOSING) for prompt, step in zip(second, steps, strict=True)]
    expected = [policy.sample(prompts, 2, 12, 0.0, 0) for prompts in (second, third)]
    cache: PrefixCache = {}
    policy.sample(first, 2, 12, 0.0, 0, cache)
    with monkeypatch.context() as patch:

        def read_again(_: object, asked: Sequence[object]) -> list[object]:
            assert not asked, "a trunk was read again"
            return []

        patch.setattr(decoder, "keys_values", read_again)
        got = [policy.sample(prompts, 2, 12, 0.0, 0, cache) for prompts in (second, third)]
    assert set(cache) == set(third)
    for one, two in zip(expected, got, strict=True):
        for a, b in zip((r for g in one for r in g), (r for g in two for r in g), strict=True):
            assert b.completion_ids == a.completion_ids
            np.testing.assert_allclose(b.logprobs, a.logprobs, atol=1e-4)
    # One that continues nothing is read whole, beside one that does.
    (fresh,) = texts(1, 50, 2)
    mixed = [fresh, (*third[0][:-3], *steps[1], *CLOSING)]
    assert [r.completion_ids for g in policy.sample(mixed, 1, 12, 0.0, 0, cache) for r in g] == [
        r.completion_ids for g in policy.sample(mixed, 1, 12, 0.0, 0) for r in g
    ]


@pytest.mark.parametrize("backend", [on_torch, on_mlx])
def test_the_step_prompts_of_a_trajectory_are_read_as_one_trunk(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: Callable[[Path, Path], tuple[Policy, type]],
) -> None:
    policy, decoder = backend(tiny_model, tmp_path)
    (trajectory,) = texts(1, 80, 0)
    read: list[tuple[int, ...]] = []
    keys_values: Callable[..., object] = vars(decoder)["keys_values"]

    def noting(self: object, asked: Any) -> object:
        several = asked if asked and not isinstance(asked[0], int) else [asked]
        read.extend(tuple(ids) for ids in several if ids)
        return keys_values(self, asked)

    monkeypatch.setattr(decoder, "keys_values", noting)
    policy.sample([(*trajectory[:n], *CLOSING) for n in (40, 60, 80)], 2, 4, 1.0, 0)
    assert read == [(*trajectory, *CLOSING[:-1])]


def test_a_prompt_goes_on_from_what_it_shares_half_of_itself_with() -> None:
    read = [(1, 2, 3, 9), (1, 5, 5, 9), (4, 4, 4, 4)]
    prompts = [(1, 2, 3, 6, 9), (1, 5, 5, 7, 9), (1, 2, 8, 8, 8), (4, 4, 4, 4)]
    packs = pack(prompts, [()] * 4, 1.0, read)
    assert (
        [(p.trunk, p.rows, p.bounds, p.owners) for p in packs]
        == [
            (read[0], ((6, 9),), (3,), (0,)),
            (read[1], ((7, 9),), (3,), (1,)),
            (read[2], ((4,),), (3,), (3,)),  # its last token is run: that predicts what follows
            (prompts[2][:-1], ((8,),), (4,), (2,)),
        ]
    )
    together = [[packs.index(p) for p in ps] for ps in passes(packs, read, most_tokens=4)]
    assert together == [[0, 1], [2], [3]]


def test_prompts_that_share_little_are_read_several_at_a_time(tiny_model: Path) -> None:
    lengths = (40, 31, 52, 12, 35)
    prompts = [(1, 2, *texts(1, n, seed=n)[0]) for n in lengths]
    packs = pack(prompts, [()] * 5, 1.0)
    assert len(packs) == 5
    together = gathered(packs, prompts, most_tokens=100)
    # The shortest first, around the beginning that all share.
    assert [sorted(p.owners) for p in together] == [[1, 3, 4], [0, 2]]
    assert {p.trunk for p in together} == {(1, 2)}
    for packed in together:
        for owner, row in zip(packed.owners, packed.rows, strict=True):
            assert packed.trunk + row == prompts[owner]
    # Prompts with nothing in common stay alone.
    apart = texts(3, 10, seed=4)
    assert len(gathered(pack(apart, [()] * 3, 1.0), apart)) == 3
    # And what is read is the same.
    policy, _ = on_torch(tiny_model, tiny_model)
    for prompt, (rollout,) in zip(prompts, policy.sample(prompts, 1, 4, 0.0, 0), strict=True):
        ((alone,),) = policy.sample([prompt], 1, 4, 0.0, 0)
        assert rollout.completion_ids == alone.completion_ids
        assert rollout.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_the_steps_of_a_solution_share_a_cache_and_two_solutions_do_not() -> None:
    class Noting(TablePolicy):
        def sample(
            self,
            prompts: Sequence[tuple[int, ...]],
            group_size: int,
            max_new_tokens: int,
            temperature: float,
            seed: int,
            prefix_cache: PrefixCache | None = None,
        ) -> list[list[Rollout]]:
            caches.append(prefix_cache)
            return super().sample(prompts, group_size, max_new_tokens, temperature, seed)

    caches: list[PrefixCache | None] = []
    stage = Stage(kind="rlvr", steps=1, max_steps=3)
    for _ in range(2):
        problems = [Trajectory("a", "What is 1?", (), "1")]
        solve_by_policy(Noting([NEXT]), problems, stage, DEFAULT, 0.0, 0)
    assert len(caches) == 6 and None not in caches
    assert [c is caches[0] for c in caches] == [True] * 3 + [False] * 3
