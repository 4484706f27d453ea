"""How far gradients in bfloat16 are from those in fp32: the trainer's, and transformers' own.

    python benchmarks/bfloat16_gradient.py --source gsm8k/train.jsonl

Supervised losses of a few whole solutions, one adapter, both B matrices at zero. The error is that
of all B gradients together, and of those in the first two layers: |g - g32| / |g32|.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from srl_edge.data.formats import rows_of
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.prompts import prompt_ids, whole_prompts
from srl_edge.method.types import Sample
from srl_edge.models.catalog import resolve
from srl_edge.recipe import Trainer
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.torch_backend.policy import TorchPolicy

Gradients = dict[str, torch.Tensor]
FIRST = ("layers.0.", "layers.1.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, type=Path, help="GSM8K's train.jsonl")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-instruct")
    parser.add_argument("--samples", type=int, default=3)
    options = parser.parse_args()
    model = resolve(options.model)
    policy = TorchPolicy(model, Trainer(dtype="float32"), seed=0)
    samples = _samples(policy, options.source, options.samples)
    with tempfile.TemporaryDirectory() as scratch:
        adapter = Path(scratch)
        policy.save_adapter(adapter)
        exact = _of_transformers(model, adapter, samples, torch.float32, "sdpa")
        sides = {
            "trainer, float32": _of_trainer(model, adapter, samples, "float32"),
            "trainer, bfloat16": _of_trainer(model, adapter, samples, "bfloat16"),
        }
        for kind in ("sdpa", "eager"):
            found = _of_transformers(model, adapter, samples, torch.bfloat16, kind)
            sides[f"transformers, bfloat16, {kind}"] = found
    print("| gradients of | error | in the first two layers |\n| --- | --- | --- |")
    for name, found in sides.items():
        print(f"| {name} | {_error(found, exact):.4f} | {_error(found, exact, FIRST):.4f} |")


def _samples(policy: TorchPolicy, source: Path, count: int) -> list[Sample]:
    form = PRESETS["math"]
    parsed = list(parse_rows(rows_of(source), ParseReport(), form=form))[:count]
    samples = []
    for (prompt,) in whole_prompts(parsed, form):
        reply = policy.tokenizer.encode(prompt.expert_action, add_special_tokens=False)
        completion = (*reply, policy.stop_ids[0])
        samples.append(Sample(prompt_ids(policy.tokenizer, prompt), completion, (), 1.0))
    return samples


def _of_trainer(model: Path, adapter: Path, samples: list[Sample], dtype: str) -> Gradients:
    policy = TorchPolicy(model, Trainer.model_validate({"dtype": dtype}), seed=0)
    policy.load_adapter(adapter)
    policy.forward_backward([[sample] for sample in samples], Loss("nll"))
    found: Gradients = {}
    for layer in policy.layers:
        assert layer.lora_A.grad is not None and layer.lora_B.grad is not None
        found |= layer.members(layer.lora_A.grad, layer.lora_B.grad)
    return {name: grad for name, grad in found.items() if "lora_B" in name}


def _of_transformers(
    model: Path, adapter: Path, samples: list[Sample], dtype: torch.dtype, attention: str
) -> Gradients:
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation=attention)
    tuned = PeftModel.from_pretrained(plain, str(adapter), is_trainable=True)
    for sample in samples:
        ids = torch.tensor([[*sample.prompt_ids, *sample.completion_ids]])
        count = len(sample.completion_ids)
        logits = tuned(input_ids=ids).logits[0, -count - 1 : -1].float()
        wanted = torch.tensor(sample.completion_ids)
        (torch.nn.functional.cross_entropy(logits, wanted) / len(samples)).backward()
    return {
        name.removeprefix("base_model.model.model.").replace(".default", ""): weight.grad
        for name, weight in tuned.named_parameters()
        if "lora_B" in name and weight.grad is not None
    }


def _error(found: Gradients, exact: Gradients, where: tuple[str, ...] = ("",)) -> float:
    names = [name for name in exact if name.startswith(where)]
    mine, theirs = (
        torch.cat([side[name].flatten().double() for name in names]) for side in (found, exact)
    )
    return float((mine - theirs).norm() / theirs.norm())


if __name__ == "__main__":
    main()
