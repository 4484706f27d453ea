"""The shared-prefix paths against plain transformers, for every family."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GraniteConfig,
    MistralConfig,
    StableLmConfig,
)

from srl_edge.errors import InputError, StageError
from srl_edge.method.types import Sample
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.policy.objective import Part
from srl_edge.trainers.policy.packing import pack
from srl_edge.trainers.policy.sampling import sample
from srl_edge.trainers.torch_backend.attention import row_kernels
from srl_edge.trainers.torch_backend.attention.rows import RowAttention, SideBySide
from srl_edge.trainers.torch_backend.decoding.draw import Draws
from srl_edge.trainers.torch_backend.logprobs import linear_logprobs
from srl_edge.trainers.torch_backend.policy import TorchPolicy
from tests.helpers.policies import (
    SETTINGS,
    flat_gradient,
    flat_loss,
    open_policy,
    trajectory_samples,
)


@pytest.mark.parametrize("by_sequence", [True, False])
def test_packed_loss_and_gradients_equal_peft_on_full_sequences(
    family_model: Path, tmp_path: Path, by_sequence: bool
) -> None:
    policy = open_policy(family_model)
    samples = trajectory_samples()
    metrics = policy.forward_backward([samples], Loss("clipped", by_sequence=by_sequence))
    assert metrics["token_ratio"] > 2  # 1.8 without a trunk
    policy.save_adapter(tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(family_model, dtype=torch.float32)
    peft = PeftModel.from_pretrained(plain, tmp_path / "adapter", is_trainable=True)
    loss = flat_loss(peft, samples, by_sequence)
    loss.backward()
    assert abs(metrics["loss"] - float(loss.detach())) < 1e-5
    mine: dict[str, torch.Tensor] = {}
    for layer in policy.layers:
        assert layer.lora_A.grad is not None and layer.lora_B.grad is not None
        mine |= layer.members(layer.lora_A.grad, layer.lora_B.grad)
    theirs = {
        name.removeprefix("base_model.model.model.").replace(".default", ""): p.grad
        for name, p in peft.named_parameters()
        if p.grad is not None
    }
    assert mine.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(mine[name], gradient, atol=1e-5, rtol=1e-4)


def test_micro_batches_and_separate_trunks_do_not_change_the_gradient(tiny_model: Path) -> None:
    groups = [trajectory_samples(0), trajectory_samples(1, count=1)]
    gradients = []
    sizes: tuple[dict[str, Any], ...] = ({}, {"micro_batch_tokens": 90})
    for settings in sizes:
        policy = open_policy(tiny_model, **settings)
        policy.forward_backward(groups, Loss("nll"))
        gradients.append(flat_gradient(policy))
    policy = open_policy(tiny_model)
    policy.forward_backward([[s] for g in groups for s in g], Loss("nll"))
    gradients.append(flat_gradient(policy))
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(gradients[0], gradients[2], atol=1e-6, rtol=1e-4)


def test_a_layer_that_is_computed_again_gives_the_same_gradient(family_model: Path) -> None:
    gradients, kept = [], []
    for checkpointing in (False, True):
        policy = open_policy(family_model, gradient_checkpointing=checkpointing)
        sizes: list[int] = []

        def keep(x: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(x.numel())
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            policy.forward_backward([trajectory_samples()], Loss("clipped"))
        gradients.append(flat_gradient(policy))
        kept.append(sum(sizes))
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)
    assert kept[1] < kept[0] / 3


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_groups_in_one_pass_give_the_gradient_of_one_after_the_other(
    family_model: Path, kl: float
) -> None:
    groups = [trajectory_samples(seed) for seed in range(3)]
    groups[1] = groups[1][:2]
    together, apart = open_policy(family_model), open_policy(family_model)
    apart.micro_batch_tokens = 1
    together.micro_batch_tokens = 4096
    loss = Loss("clipped", kl=kl)
    expected, got = (policy.forward_backward(groups, loss) for policy in (apart, together))
    assert got == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(flat_gradient(together), flat_gradient(apart), atol=1e-6, rtol=1e-4)


def test_out_of_memory_halves_the_passes_and_gives_the_same_gradient(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [trajectory_samples(0), trajectory_samples(1)]
    plain, short = open_policy(tiny_model), open_policy(tiny_model)
    expected = plain.forward_backward(groups, Loss("clipped"))
    whole = short._backward_rows

    def backward_rows(parts: Sequence[Part], *rest: Any) -> dict[str, float]:
        done = whole(parts, *rest)  # so that part of the gradient is there already
        if sum(len(row) for packed, _ in parts for row in packed.rows) > 100:
            raise torch.OutOfMemoryError
        return done

    monkeypatch.setattr(short, "_backward_rows", backward_rows)
    got = short.forward_backward(groups, Loss("clipped"))
    assert got == pytest.approx(expected, abs=1e-5)
    torch.testing.assert_close(flat_gradient(short), flat_gradient(plain), atol=1e-6, rtol=1e-4)
    assert short.micro_batch_tokens < 128
    assert "out of memory; passes of" in capsys.readouterr().err


def test_out_of_memory_samples_half_of_the_prompts_at_once(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = open_policy(tiny_model)
    prompts = [(5, 6, 7), (8, 9), (10, 11, 12), (13, 9, 4), (14, 15)]
    whole = policy.sample(prompts, 2, 6, 0.0, seed=0)
    held: list[int] = []

    def short(decoding: Any, prompts: Sequence[tuple[int, ...]], *rest: Any, **more: Any) -> Any:
        held.append(len(prompts))
        if len(prompts) > room:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you …")
        return sample(decoding, prompts, *rest, **more)

    monkeypatch.setattr("srl_edge.trainers.torch_backend.policy.sample", short)
    room = 2
    found = policy.sample(prompts, 2, 6, 0.0, seed=0)
    assert [[each.completion_ids for each in group] for group in found] == [
        [each.completion_ids for each in group] for group in whole
    ]
    assert held == [5, 2, 3, 1, 2]
    assert "2 prompts of 5 are sampled at once" in capsys.readouterr().err
    room = 0
    with pytest.raises(StageError, match="out of memory, where 2 replies of 6 tokens to one"):
        policy.sample(prompts, 2, 6, 0.0, seed=0)


def test_no_room_for_one_reply_is_one_sentence(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = open_policy(tiny_model)

    def backward(*_: Any) -> dict[str, float]:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(policy, "_backward_rows", backward)
    with pytest.raises(StageError, match=r"out of memory in a pass of one reply, of \d+ tokens"):
        policy.forward_backward([trajectory_samples(0)], Loss("clipped"))


def test_one_trunk_serves_nested_prompts_and_unrelated_ones_stay_apart() -> None:
    nested = [(1, 2, 3, 9), (1, 2, 3, 4, 5, 9)]
    (packed,) = pack(nested, [(7,), (8,)])
    # The last prompt token predicts the completion, so each row starts with it at the latest.
    assert packed.trunk == nested[1][:-1] and packed.bounds == (3, 5)
    assert packed.rows == ((9, 7), (9, 8))
    assert len(pack([(1, 2, 3), (4, 5, 6)], [(7,), (8,)])) == 2


def test_what_a_template_writes_makes_no_problems_alike() -> None:
    beginning = tuple(range(30))
    problems = [(*beginning, *range(100 * n, 100 * n + 12)) for n in (1, 2, 3)]
    steps = [(*p, *range(50, 50 + taken)) for p in problems for taken in (0, 4, 8)]
    packs = pack([s for s in steps for _ in range(4)], [(7, 8)] * 36)
    assert sorted(len(p.rows) for p in packs) == [12, 12, 12]
    assert {p.trunk for p in packs} == {step[:-1] for step in steps[2::3]}
    one = pack(steps[:3], [(7, 8)] * 3)
    assert [len(p.rows) for p in one] == [3]


def test_greedy_samples_are_what_transformers_generates(family_model: Path, tmp_path: Path) -> None:
    policy = open_policy(family_model)
    prompts = [s.prompt_ids for s in trajectory_samples(count=1)]
    prompts += [(5,), (6, 7)]  # of one token, of which all but the last are none
    groups = policy.sample(prompts, 2, 40, 0.0, seed=0)
    policy.save_adapter(tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(family_model, dtype=torch.float32)
    peft = PeftModel.from_pretrained(plain, tmp_path / "adapter").merge_and_unload()
    for prompt, group in zip(prompts, groups, strict=True):
        expected = peft.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False)
        for rollout in group:
            assert list(rollout.completion_ids) == expected[0, len(prompt) :].tolist()
            assert rollout.finished == (rollout.completion_ids[-1] == 2)


def test_sampled_logprobs_are_those_of_the_loss(family_model: Path) -> None:
    policy = open_policy(family_model)
    policy.stop_ids = list(range(3, 100))  # so that rows finish early and leave the batch
    prompts = [*(s.prompt_ids for s in trajectory_samples(count=1)), (5,)]
    groups = policy.sample(prompts, 6, 30, 1.0, seed=3)
    lengths = {len(r.completion_ids) for g in groups for r in g}
    assert len(lengths) > 3 and all(r.finished for g in groups for r in g if len(r.text) < 30)
    for group in groups:
        for rollout in group:
            sample = Sample(rollout.prompt_ids, rollout.completion_ids, rollout.logprobs, 1.0)
            metrics = policy.forward_backward([[sample]], Loss("clipped"))
            assert metrics["sampling/sampling_logp_difference/mean"] < 1e-4
    assert policy.sample(prompts, 6, 30, 1.0, seed=3) == groups


def test_samples_follow_the_distribution(tiny_model: Path) -> None:
    policy = open_policy(tiny_model)
    prompt = trajectory_samples()[0].prompt_ids
    (group,) = policy.sample([prompt], 3000, 1, 1.0, seed=0)
    ids = [r.completion_ids[0] for r in group]
    likely = max(set(ids), key=ids.count)
    logprob = next(r.logprobs[0] for r in group if r.completion_ids[0] == likely)
    assert abs(ids.count(likely) / 3000 - torch.tensor(logprob).exp()) < 0.03


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_draw_follows_its_temperature(temperature: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 300).mul_(2).expand(4000, -1)  # no multiple of a block
    ids, logprobs = map(torch.from_numpy, Draws(logits, temperature, seed=0)(logits))
    expected = torch.log_softmax(logits[0] / (temperature or 1), -1)
    torch.testing.assert_close(logprobs, expected[ids])
    if temperature == 0:
        assert set(ids.tolist()) == {int(logits[0].argmax())}
    else:
        share = torch.bincount(ids, minlength=300) / len(ids)
        assert float((share - expected.exp()).abs().max()) < 0.03


def test_divergence_is_that_of_transformers_with_and_without_the_adapter(
    family_model: Path, tmp_path: Path
) -> None:
    policy = open_policy(family_model)
    policy.save_adapter(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(family_model, dtype=torch.float32)
    wanted = []
    texts = [list(range(3, 40)), list(range(60, 70))]
    tuned = PeftModel.from_pretrained(base, tmp_path)
    with torch.no_grad():
        for text in texts:
            now = tuned(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)
            with tuned.disable_adapter():
                before = tuned(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)
            wanted.append((before.exp() * (before - now)).sum(-1))
    assert policy.divergence(texts) == pytest.approx(float(torch.cat(wanted).mean()), rel=1e-3)
    assert policy.divergence(texts) > 0.01
    assert TorchPolicy(family_model, SETTINGS, 0).divergence(texts) == 0


def test_training_state_survives_a_round_trip(tiny_model: Path, tmp_path: Path) -> None:
    samples = trajectory_samples()
    first = open_policy(tiny_model)
    first.forward_backward([samples], Loss("nll"))
    first.optim_step(1e-2, 1.0)
    first.save(tmp_path / "state")
    second = TorchPolicy(tiny_model, SETTINGS, seed=5)
    second.load(tmp_path / "state")
    losses = []
    for policy in (first, second):
        policy.forward_backward([samples], Loss("nll"))
        policy.optim_step(1e-2, 1.0)
        losses.append(policy.forward_backward([samples], Loss("nll"))["loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("seen", [[4, 4, 11, 20], [0, 4, 11, 20], [0, 0, 0, 0]])
def test_fused_and_masked_attention_of_rows_agree(seen: list[int]) -> None:
    torch.manual_seed(0)
    rows, length = [(1,) * n for n in (3, 9, 5, 7)], max(seen)
    trunk = [(torch.randn(length, 2, 16), torch.randn(length, 2, 16))]
    tensors = [torch.randn(24, heads, 16) for heads in (6, 2, 2)]
    gradient = torch.randn(24, 6, 16)
    results = []
    for masked in (False, True):
        leaves = [x.clone().requires_grad_() for x in (*tensors, *trunk[0])]
        attention = RowAttention(rows, seen, [(leaves[3], leaves[4])], torch.device("cpu"))
        if masked:
            hidden = attention._hidden(None)
            out = row_kernels.MaskedRows.apply(  # type: ignore[no-untyped-call]
                *leaves, attention.gather, attention.scatter, hidden, 0.25
            )
        else:
            out = attention(0, leaves[0], leaves[1], leaves[2], 0.25, None)
        out.backward(gradient)
        results.append([out, *(x.grad for x in leaves)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_linear_logprobs_match_a_plain_log_softmax() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(700, 16, requires_grad=True)
    weight, targets = torch.randn(90, 16), torch.randint(0, 90, (700,))
    logprobs, entropies = linear_logprobs(hidden, weight, targets)
    logprobs.square().sum().backward()
    again = hidden.detach().clone().requires_grad_()
    full = torch.log_softmax(again @ weight.T, -1)
    full.gather(1, targets[:, None]).square().sum().backward()
    torch.testing.assert_close(logprobs, full.gather(1, targets[:, None])[:, 0])
    torch.testing.assert_close(entropies, -(full.exp() * full).sum(-1), atol=1e-4, rtol=1e-3)
    assert hidden.grad is not None
    torch.testing.assert_close(hidden.grad, again.grad, atol=1e-4, rtol=1e-4)


SHAPE: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(("window", "trains"), [(None, True), (4096, False)])
def test_a_family_without_a_record_trains_if_it_is_as_plain_as_llamas(
    window: int | None, trains: bool, tiny_model: Path, tmp_path: Path
) -> None:
    config = MistralConfig(**SHAPE, head_dim=16, sliding_window=window)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    if trains:
        assert open_policy(tmp_path).sample([(5, 6, 7)], 1, 3, 0.0, seed=0)
        assert open_policy(tmp_path, quantization="8da4w").rounding is not None
    else:
        with pytest.raises(InputError, match="mistral has a sliding window"):
            open_policy(tmp_path)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        # All of Granite's factors but that of its logits are one.
        (
            GraniteConfig(**SHAPE, logits_scaling=8.0, attention_multiplier=0.25),
            "granite: its logits are not its head's alone",
        ),
        (StableLmConfig(**SHAPE), "stablelm: rotates 4 of the 16 numbers of each head"),
    ],
)
def test_what_the_trainer_would_compute_otherwise_is_refused_in_a_sentence(
    config: Any, words: str, tiny_model: Path, tmp_path: Path
) -> None:
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=words):
        open_policy(tmp_path)


def test_bfloat16_gradients_hold_where_scores_are_hundreds() -> None:
    """As in the first layers of Qwen2.5, where biases give all keys much in common."""
    generator = torch.Generator().manual_seed(0)
    rows, seen, heads, dim = ((5,) * 9, (6,) * 4), (12, 7), 4, 16

    def drawn(tokens: int, heads: int, common: float) -> torch.Tensor:
        x = torch.randn(tokens, heads, dim, generator=generator)
        x[..., 0] = common
        return x.bfloat16().requires_grad_()

    q, k, v = drawn(13, heads, 32.0), drawn(13, 2, 64.0), drawn(13, 2, 0.0)
    trunk_k, trunk_v = drawn(12, 2, 64.0), drawn(12, 2, 0.0)
    inputs = (q, k, v, trunk_k, trunk_v)
    wanted = torch.randn(13, heads, dim, generator=generator)
    attention = RowAttention(rows, seen, [(trunk_k, trunk_v)], torch.device("cpu"))
    out = attention(0, q, k, v, dim**-0.5, None)
    got = torch.autograd.grad((out * wanted).sum(), inputs)

    for mine, theirs in zip(got, exact_gradients(inputs, rows, seen, wanted), strict=True):
        assert float((mine - theirs).norm() / theirs.norm()) < 0.1


def exact_gradients(
    inputs: Sequence[torch.Tensor],
    rows: Sequence[tuple[int, ...]],
    seen: Sequence[int],
    wanted: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """By plain products in fp64, row by row; scores are hundreds there."""
    exact = [x.detach().double().requires_grad_() for x in inputs]
    heads, dim = exact[0].shape[1:]
    shared = heads // exact[1].shape[1]
    expected, start = torch.zeros((), dtype=torch.float64), 0
    for row, bound in zip(rows, seen, strict=True):
        here = slice(start, start := start + len(row))
        keys, values = (
            torch.cat([trunk[:bound], own[here]]).repeat_interleave(shared, 1)
            for own, trunk in ((exact[1], exact[3]), (exact[2], exact[4]))
        )
        scores = torch.einsum("qhd,khd->hqk", exact[0][here], keys) * dim**-0.5
        assert float(scores.max()) > 300
        later = torch.ones(len(row), len(row)).triu(1).bool()
        scores[:, :, bound:] = scores[:, :, bound:].masked_fill(later, float("-inf"))
        mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), values)
        expected = expected + (mixed * wanted[here]).sum()
    return torch.autograd.grad(expected, exact)


@pytest.mark.parametrize("rows", [((4,), (1, 2, 3)), ((1,), (2,) * 9, (3,) * 4)])
def test_padding_of_rows_of_unlike_length_counts_for_nothing(
    rows: tuple[tuple[int, ...], ...],
) -> None:
    """Its queries are another row's, which score these keys higher than their own normalizer."""
    generator = torch.Generator().manual_seed(0)
    tokens, seen, dim = sum(map(len, rows)), [2] * len(rows), 16

    def drawn(count: int, heads: int, spread: float) -> torch.Tensor:
        x = torch.randn(count, heads, dim, generator=generator) * spread
        return x.requires_grad_()

    q, k, v = drawn(tokens, 4, 40.0), drawn(tokens, 2, 10.0), drawn(tokens, 2, 1.0)
    trunk = drawn(2, 2, 10.0), drawn(2, 2, 1.0)
    inputs, wanted = (q, k, v, *trunk), drawn(tokens, 4, 1.0).detach()
    device = torch.device("cpu")
    each = [RowAttention([row], [2], [trunk], device) for row in rows]
    for attention in (RowAttention(rows, seen, [trunk], device), SideBySide(each)):
        out = attention(0, q, k, v, dim**-0.5, None)
        got = torch.autograd.grad((out * wanted).sum(), inputs)
        for mine, theirs in zip(got, exact_gradients(inputs, rows, seen, wanted), strict=True):
            torch.testing.assert_close(mine.double(), theirs, atol=1e-3, rtol=1e-3)
