"""Adapters of quantized weights, merged into what they saw or into the original."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from srl_edge.data import trajectories
from srl_edge.exporters.check import _merging
from srl_edge.exporters.merging.trained_weights import merge_trained, merged_into
from srl_edge.exporters.parity.faults import merging_faults
from srl_edge.exporters.parity.logits import references
from srl_edge.exporters.subject import of_run
from srl_edge.recipe import Recipe, Trainer
from srl_edge.trainers.open import open_policy
from srl_edge.trainers.policy.contract import Loss
from tests.helpers.policies import flat_logprobs, trajectory_samples

KINDS = [("torch", "int8", ""), ("torch", "nf4", "bitsandbytes"), ("mlx", "int4", "mlx_lm")]


def tuned(model: Path, run: Path, rows: list[dict[str, str]], **trainer: Any) -> tuple[Any, Recipe]:
    """A policy after some steps on quantized weights, and the run that it belongs to."""
    (run / "data").mkdir(parents=True)
    parsed = list(trajectories.parse_rows(rows, trajectories.ParseReport()))
    for split in ("validation", "test"):
        trajectories.write_jsonl(run / "data" / f"{split}.jsonl", parsed)
    recipe = Recipe.model_validate(
        {
            "output": str(run),
            "model": {"name": str(model)},
            "stages": [{"kind": "sft", "steps": 1}],
            "trainer": {"dtype": "float32", "lora_rank": 4, "lora_alpha": 8} | trainer,
            "check": {"prompts": 3, "greedy_tokens": 4},
            "export": {"context_length": 256},
        }
    )
    policy = open_policy(model, Trainer(**recipe.trainer.model_dump()), seed=0)
    for _ in range(3):
        policy.forward_backward([trajectory_samples()], Loss("nll"))
        policy.optim_step(1e-2, 1.0)
    policy.save_adapter(run / "adapter")
    return policy, recipe


@pytest.mark.parametrize(("backend", "quantization", "needs"), KINDS)
def test_the_adapter_is_merged_into_what_it_saw(
    backend: str,
    quantization: str,
    needs: str,
    tiny_model: Path,
    tmp_path: Path,
    word_problems: list[dict[str, str]],
) -> None:
    if needs and find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    policy, recipe = tuned(
        tiny_model, tmp_path, word_problems, backend=backend, quantization=quantization
    )
    subject = of_run(recipe, tmp_path)
    merged = merge_trained(subject)
    choice = json.loads((merged / "merge.json").read_text())
    found = {n: f["kl_divergence"] for n, f in choice["to_the_trained_model"].items()}
    assert choice["into"] == "dequantized" and choice["trained_on"]["quantization"] == quantization
    assert found["dequantized"] < 1e-5 < found["original"]
    # What the trainer computed on its quantized weights, and transformers on the merged ones.
    samples = trajectory_samples()
    loss = policy.forward_backward([samples], Loss("nll"))["loss"]
    model = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    with torch.no_grad():
        means = [flat_logprobs(model, sample).mean() for sample in samples]
    assert abs(loss + float(torch.stack(means).mean())) < 1e-3
    # The gate compares the merged model with the adapter beside what it was merged into.
    assert merged_into(subject) == tmp_path / "base-dequantized"
    cases, _ = references(subject, merged, "test")
    assert merging_faults(_merging(subject, cases)) == []


def test_the_original_weights_can_be_asked_for(
    tiny_model: Path, tmp_path: Path, word_problems: list[dict[str, str]]
) -> None:
    _, recipe = tuned(tiny_model, tmp_path, word_problems, quantization="int8")
    export = recipe.export.model_copy(update={"merge_into": "original"})
    subject = of_run(recipe.model_copy(update={"export": export}), tmp_path)
    merged = merge_trained(subject)
    assert merged_into(subject) == tiny_model
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "data", "merged"]
    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    peft = PeftModel.from_pretrained(plain, tmp_path / "adapter")
    model = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    sample = trajectory_samples()[0]
    with torch.no_grad():
        torch.testing.assert_close(flat_logprobs(model, sample), flat_logprobs(peft, sample))
