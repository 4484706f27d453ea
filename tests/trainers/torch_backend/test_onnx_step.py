"""Decoding steps on ONNX Runtime against the decoder's own forward pass, for every family."""

import sys
import weakref
from itertools import chain
from pathlib import Path

import pytest
import torch

from srl_edge.trainers.policy.sampling import Drawn
from srl_edge.trainers.torch_backend.attention.decode import DecodeAttention
from srl_edge.trainers.torch_backend.decoding import onnx_step
from srl_edge.trainers.torch_backend.decoding.draw import Draws
from srl_edge.trainers.torch_backend.decoding.onnx_step import OnnxStep
from srl_edge.trainers.torch_backend.decoding.onnx_step_graph import matrices
from srl_edge.trainers.torch_backend.decoding.pytorch import TorchDecoding, merged_decoding, prefill
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.policies import open_policy, trajectory_samples

PROMPTS = [s.prompt_ids for s in trajectory_samples(count=1)]
LENGTHS = torch.tensor([len(p) for p in PROMPTS])


@torch.inference_mode()
def attention_of(policy: TorchPolicy) -> DecodeAttention:
    caches, _ = prefill(policy.decoder, PROMPTS, policy.device)
    return DecodeAttention(caches, LENGTHS, 5, tokens=40)


@pytest.mark.parametrize("packed", [0, 2**30])
@torch.inference_mode()
def test_steps_equal_the_decoders(family_model: Path, packed: int) -> None:
    policy = open_policy(family_model)
    step = OnnxStep(policy.decoder, policy.head, packed)
    assert ("head" in step.weights) == (packed == 0)
    ours, theirs = attention_of(policy), attention_of(policy)
    generator = torch.Generator().manual_seed(0)
    for index in range(40):  # past the sliding window, and over several growths of the caches
        if index == 19:  # rows leave
            for attention in (ours, theirs):
                attention.keep(torch.tensor([0, 2]), torch.tensor([[1, 3, 4], [0, 2, 2]]))
        for attention in (ours, theirs):
            attention.advance(index)
        tokens = torch.randint(3, 512, (len(ours.positions),), generator=generator)
        logits, softmax = step(tokens, ours, 0.7)
        expected = policy.decoder(tokens, theirs) @ policy.head.T / 0.7
        torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(softmax, expected.softmax(-1), atol=1e-4, rtol=1e-3)
    for mine, other in zip(chain(*ours.own), chain(*theirs.own), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_rollouts_are_those_of_pytorch(family_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, plain = open_policy(family_model), open_policy(family_model)
    policy.stop_ids = plain.stop_ids = list(range(3, 60))  # so that rows leave the batch
    for temperature in (0.0, 0.7, 1.0):
        ours = policy.sample(PROMPTS, 5, 30, temperature, seed=1)
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "srl_edge.trainers.torch_backend.decoding.onnx_step", None)
            expected = plain.sample(PROMPTS, 5, 30, temperature, seed=1)
        for one, two in zip(chain(*ours), chain(*expected), strict=True):
            assert one.completion_ids == two.completion_ids
            torch.testing.assert_close(one.logprobs, two.logprobs, atol=1e-3, rtol=1e-3)
    assert isinstance(policy._sampler, TorchDecoding) and isinstance(policy._sampler.step, OnnxStep)
    assert isinstance(plain._sampler, TorchDecoding) and plain._sampler.step is None


@torch.inference_mode()
def test_caches_stay_where_they_are_and_places_come_empty(tiny_model: Path) -> None:
    attention = attention_of(open_policy(tiny_model))
    where = None
    for step in range(40):
        if step == 19:
            attention.keep(torch.tensor([0, 2]), torch.tensor([[1, 3, 4], [0, 2, 2]]))
        attention.advance(step)
        caches = list(chain(*attention.own))
        where = where or [cache.data_ptr() for cache in caches]
        assert [cache.data_ptr() for cache in caches] == where
        for cache in caches:
            assert not cache[:, :, :, step:].any()
            assert cache[:, :, :, :step].all()
            cache[:, :, :, step] = step + 1


def test_torch_has_its_threads_back_after_a_step(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Draws, logits: torch.Tensor, weights: torch.Tensor) -> Drawn:
        seen.append(torch.get_num_threads())
        if len(seen) == 5:
            raise KeyboardInterrupt
        return of(self, logits, weights)

    policy, of, threads = open_policy(tiny_model), Draws.of, torch.get_num_threads()
    seen: list[int] = []
    monkeypatch.setattr(Draws, "of", interrupted)
    torch.set_num_threads(2)
    try:
        policy.sample(PROMPTS, 2, 3, 1.0, seed=0)
        assert (seen, torch.get_num_threads()) == ([2, 1, 1], 2)
        with pytest.raises(KeyboardInterrupt):
            policy.sample(PROMPTS, 2, 3, 1.0, seed=0)
        assert (seen[3:], torch.get_num_threads()) == ([2, 1], 2)
    finally:
        torch.set_num_threads(threads)


def test_weights_are_there_once_and_caches_no_longer_than_they_are_needed(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = open_policy(tiny_model)
    given = dict(matrices(policy.decoder))
    monkeypatch.setattr(onnx_step, "matrices", lambda _: given.items())
    step, attention = OnnxStep(policy.decoder, policy.head), attention_of(policy)
    tokens = torch.arange(len(attention.positions)) + 3
    with torch.inference_mode():
        attention.advance(0)
        assert step(tokens, attention, 1.0)[0].isfinite().all()
        for matrix in given.values():  # what is not copied is what is read
            kept = matrix.clone()
            matrix.fill_(torch.nan)
            assert step(tokens, attention, 1.0)[0].isnan().all()
            matrix.copy_(kept)
    cache = weakref.ref(attention.own[0][0])
    del attention
    assert cache() is not None
    step.let_go()
    assert cache() is None


def test_torch_decodes_where_onnx_runtime_cannot(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow, policy = open_policy(tiny_model, dtype="bfloat16"), open_policy(tiny_model)
    assert merged_decoding(narrow.decoder, narrow.head).step is None
    assert len(narrow.sample(PROMPTS, 2, 8, 1.0, seed=0)) == len(PROMPTS)
    assert merged_decoding(policy.decoder, policy.head).step is not None
    monkeypatch.delitem(sys.modules, "srl_edge.trainers.torch_backend.decoding.onnx_step")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert merged_decoding(policy.decoder, policy.head).step is None
