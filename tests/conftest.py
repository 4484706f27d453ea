"""Models, problems and runs that many tests share."""

import os
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
)

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.exporters.merging.merge import merge
from srl_edge.method.prompts import prompt_ids, step_prompts, warm_up_reply
from tests.helpers.models import FAMILIES, make_model

# Off a Mac, MLX would compile each fused kernel with g++ at its first use.
os.environ.setdefault("MLX_DISABLE_COMPILE", "1")

TEACHING_STEPS = 120


@pytest.fixture(scope="session", params=FAMILIES)
def family_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of each family in turn."""
    return make_model(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    return make_model("llama", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def word_problems() -> list[dict[str, str]]:
    """Rows that a tiny model can learn."""
    return [
        {
            "problem": f"Ann has {i} cats and {i + 1} dogs.",
            "solution": f"{i} + {i + 1} = {2 * i + 1} animals.\nSo {2 * i + 1}.\n#### {2 * i + 1}",
        }
        for i in range(24)
    ]


@pytest.fixture(scope="session")
def taught_model(
    tmp_path_factory: pytest.TempPathFactory, word_problems: list[dict[str, str]]
) -> Path:
    """A tiny Llama that mostly replies in the format, as a pretrained model does after warm-up."""
    folder = make_model("llama", tmp_path_factory.mktemp("taught"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    sequences = []
    for group in step_prompts(parse_rows(word_problems, ParseReport()), "all"):
        for p in group:
            prompt = list(prompt_ids(tokenizer, p))
            reply = [*tokenizer.encode(warm_up_reply(p), add_special_tokens=False), 2]
            sequences.append((prompt + reply, [-100] * len(prompt) + reply))
    width = max(len(ids) for ids, _ in sequences)
    ids = torch.tensor([s + [0] * (width - len(s)) for s, _ in sequences])
    labels = torch.tensor([t + [-100] * (width - len(t)) for _, t in sequences])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(TEACHING_STEPS):
        rows = torch.randint(0, len(ids), (16,))
        model(input_ids=ids[rows], labels=labels[rows]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.generation_config.eos_token_id = [2]
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained(taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an adapter that changes many answers, and the model it was merged into."""
    run = tmp_path_factory.mktemp("trained")
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(taught_model)
    tuned = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    tuned.save_pretrained(run / "adapter")
    merge(taught_model, run / "adapter", run / "merged")
    return run
