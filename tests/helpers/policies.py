"""Policies with an adapter that does something, samples for them, and plain references."""

import random
from pathlib import Path

import torch

from srl_edge.method.types import Sample
from srl_edge.recipe import Trainer
from srl_edge.trainers.policy.contract import OnnxBase
from srl_edge.trainers.torch_backend.decoder import Causal
from srl_edge.trainers.torch_backend.policy import TorchPolicy

SETTINGS = Trainer(dtype="float32", lora_rank=4, lora_alpha=8)


def open_policy(
    model: Path, seed: int = 0, onnx_base: OnnxBase | None = None, **settings: object
) -> TorchPolicy:
    policy = TorchPolicy(model, SETTINGS.model_copy(update=settings), seed, onnx_base)
    generator = torch.Generator().manual_seed(1)
    for layer in policy.layers:
        layer.lora_B.data.normal_(std=0.2, generator=generator)
    return policy


def trajectory_samples(seed: int = 0, count: int = 3) -> list[Sample]:
    """Samples of one trajectory's nested prompts, longer than the sliding window, ragged."""
    rng = random.Random(seed)

    def tokens(n: int) -> list[int]:
        return [rng.randrange(3, 512) for _ in range(n)]

    trunk, tail = tokens(60), [1, 7, 8]
    samples = []
    for bound in (40, 47, 60):
        for _ in range(count):
            length = rng.randrange(1, 45)
            samples.append(
                Sample(
                    (*trunk[:bound], *tail),
                    tuple(tokens(length)),
                    tuple(-5 - rng.random() for _ in range(length)),
                    rng.gauss(0, 1),
                )
            )
    return samples


def flat_gradient(policy: TorchPolicy) -> torch.Tensor:
    gradients = [p.grad for p in policy._trainable().values()]
    return torch.cat([g.flatten() for g in gradients if g is not None])


def flat_logprobs(model: torch.nn.Module, sample: Sample) -> torch.Tensor:
    ids = torch.tensor([[*sample.prompt_ids, *sample.completion_ids]])
    logits = model(input_ids=ids).logits[0, len(sample.prompt_ids) - 1 : -1].float()
    targets = torch.tensor(sample.completion_ids)
    return torch.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0]


def flat_loss(model: torch.nn.Module, samples: list[Sample], by_sequence: bool) -> torch.Tensor:
    """The clipped objective written out, one full sequence at a time."""
    total = torch.zeros(())
    for sample in samples:
        ratio = torch.exp(flat_logprobs(model, sample) - torch.tensor(sample.old_logprobs))
        objective = torch.minimum(
            ratio * sample.advantage, ratio.clamp(0.8, 1.2) * sample.advantage
        )
        total = total - (objective.mean() if by_sequence else objective.sum())
    return total / (len(samples) if by_sequence else sum(len(s.completion_ids) for s in samples))


@torch.inference_mode()
def trainer_logits(policy: TorchPolicy, ids: list[int]) -> torch.Tensor:
    """Logits [N, V] of the model that trains, after each token."""
    hidden = policy.decoder(torch.tensor(ids), Causal([len(ids)], policy.device))
    logits: torch.Tensor = policy._sampling_head()(hidden)
    return logits


def divergence(expected: torch.Tensor, got: torch.Tensor) -> float:
    """Mean KL in nats."""
    one, two = expected.log_softmax(-1), got.log_softmax(-1)
    return float((one.exp() * (one - two)).sum(-1).mean())
