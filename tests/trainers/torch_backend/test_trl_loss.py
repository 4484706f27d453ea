"""The clipped loss and its gradients against TRL's GRPOTrainer: same adapter, same rollouts."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from srl_edge.method.types import Sample
from srl_edge.recipe import Trainer
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.torch_backend.policy import TorchPolicy

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

TOLERANCE = 1e-6
CLIP_LOW, CLIP_HIGH = 0.2, 0.3


def off_policy(model: Path, temperature: float) -> tuple[TorchPolicy, list[Sample]]:
    """Ragged rollouts of nested prompts, and a policy that has moved since it sampled them."""
    rng = random.Random(0)
    policy = TorchPolicy(model, Trainer(dtype="float32", lora_rank=4, lora_alpha=8), seed=0)
    policy.stop_ids = list(range(3, 60))
    trunk = [rng.randrange(60, 512) for _ in range(60)]
    prompts = [(*trunk[:bound], 1, 7, 8) for bound in (40, 47, 60)]
    samples = [
        Sample(r.prompt_ids, r.completion_ids, r.logprobs, rng.gauss(0, 1))
        for group in policy.sample(prompts, 4, 30, temperature, seed=0)
        for r in group
    ]
    policy.forward_backward([samples], Loss("clipped", temperature=temperature))
    policy.optim_step(0.05, max_grad_norm=1.0)
    return policy, samples


def saved_gradients(policy: TorchPolicy, folder: Path) -> dict[str, torch.Tensor]:
    """The adapter's gradients under PEFT's names: written in place of the weights, as these are."""
    for group in policy.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.data.copy_(parameter.grad)
    policy.save_adapter(folder)
    return load_file(folder / "adapter_model.safetensors")


def trl_inputs(samples: list[Sample]) -> dict[str, torch.Tensor]:
    """A batch as TRL makes it: prompts padded on the left, completions on the right."""

    def padded(rows: list[torch.Tensor], side: str) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side=side)

    prompts = [torch.tensor(s.prompt_ids) for s in samples]
    completions = [torch.tensor(s.completion_ids) for s in samples]
    mask = padded([torch.ones_like(c) for c in completions], "right")
    return {
        "prompt_ids": padded(prompts, "left"),
        "prompt_mask": padded([torch.ones_like(p) for p in prompts], "left"),
        "completion_ids": padded(completions, "right"),
        "completion_mask": mask,
        "advantages": torch.tensor([s.advantage for s in samples]),
        "old_per_token_logps": padded([torch.tensor(s.old_logprobs) for s in samples], "right"),
        "num_items_in_batch": mask.sum(),
    }


def trl_trainer(model: Path, adapter: Path, folder: Path, **settings: object) -> Any:
    """A GRPOTrainer in fp32 whose policy has a saved adapter."""
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    trainer = trl.GRPOTrainer(
        model=PeftModel.from_pretrained(plain, adapter, is_trainable=True),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=trl.GRPOConfig(
            output_dir=str(folder),
            use_cpu=True,
            bf16=False,
            report_to="none",
            epsilon=CLIP_LOW,
            epsilon_high=CLIP_HIGH,
            use_bias_correction_kl=False,
            **settings,
        ),
        train_dataset=datasets.Dataset.from_list([{"prompt": "a"}]),
        processing_class=AutoTokenizer.from_pretrained(model),
    )
    trainer.current_gradient_accumulation_steps = 1  # which train() sets
    trainer.model.train()
    return trainer


@torch.no_grad()
def reference_logprobs(trainer: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """TRL's log-probabilities of the completions under the model without its adapter [B, T]."""
    ids, mask = (
        torch.cat([inputs[f"prompt_{part}"], inputs[f"completion_{part}"]], 1)
        for part in ("ids", "mask")
    )
    with trainer.model.disable_adapter():
        logprobs: torch.Tensor = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, inputs["completion_ids"].shape[1]
        )[0]
    return logprobs


@pytest.mark.parametrize(("kl", "temperature"), [(0.0, 1.0), (0.3, 0.7)])
@pytest.mark.parametrize(
    ("loss_type", "by_sequence"), [("grpo", True), ("bnpo", False), ("dapo", False)]
)
def test_loss_and_gradients_equal_those_of_trl(
    tiny_model: Path,
    tmp_path: Path,
    loss_type: str,
    by_sequence: bool,
    kl: float,
    temperature: float,
) -> None:
    policy, samples = off_policy(tiny_model, temperature)
    assert len({len(s.completion_ids) for s in samples}) > 3
    policy.save_adapter(tmp_path / "adapter")
    loss = Loss("clipped", CLIP_LOW, CLIP_HIGH, by_sequence, kl, temperature)
    metrics = policy.forward_backward([samples], loss)
    assert metrics["token_ratio"] > 1.5  # the shared path really ran
    gradients = saved_gradients(policy, tmp_path / "gradients")

    trainer = trl_trainer(
        tiny_model, tmp_path / "adapter", tmp_path, loss_type=loss_type, temperature=temperature
    )
    trainer.beta = kl  # not in its settings: there it would add a copy of the adapter as reference
    inputs = trl_inputs(samples)
    inputs["ref_per_token_logps"] = reference_logprobs(trainer, inputs)
    expected = trainer._compute_loss(trainer.model, inputs)
    expected.backward()
    (clipped,) = trainer._metrics["train"]["clip_ratio/region_mean"]
    assert 0.05 < clipped < 0.95  # clipping acts, and not on every token
    assert metrics["clip_ratio/region_mean"] == pytest.approx(clipped, abs=TOLERANCE)
    if kl:
        assert metrics["kl"] == pytest.approx(trainer._metrics["train"]["kl"][0], rel=1e-5)
        assert metrics["kl"] > 0.01
    assert metrics["loss"] == pytest.approx(float(expected.detach()), abs=TOLERANCE)
    theirs = {n: p.grad for n, p in trainer.model.named_parameters() if p.requires_grad}
    assert {n.replace(".default", "") for n in theirs} == set(gradients)
    for name, gradient in theirs.items():
        mine = gradients[name.replace(".default", "")]
        torch.testing.assert_close(mine, gradient, atol=TOLERANCE, rtol=1e-4)
