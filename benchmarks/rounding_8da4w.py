"""What 8da4w costs in torch itself, before any export: torchao's rounding against fitted weights.

    python benchmarks/rounding_8da4w.py [--model smollm2-135m-instruct] [--threads 1] [--json]

Greedy replies of the float32 model to three questions are read by each quantized model: how many
next tokens are the same, the divergence, and how far its own greedy replies follow. The first row
is what transformers' route to ExecuTorch quantizes (`TorchExportableModuleForDecoderOnlyLM` after
torchao's `quantize_`), so what it loses there is no fault of an exporter.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from srl_edge.data import stories
from srl_edge.data.calibration import calibration_texts
from srl_edge.models.catalog import resolve
from srl_edge.models.tokenizer import load_tokenizer, stop_ids

QUESTIONS = (
    "What is the capital of France?",
    "Tom has 3 apples and buys 5 more, then eats 2. How many are left?",
    "Write one sentence about the sea.",
)
NEW, CONTEXT = 32, 256
Next = Callable[[Tensor], Tensor]  # ids [1, S] to logits [S, V]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        rows = measured(resolve(options.model))
    if options.json:
        print(json.dumps(rows))
        return
    table = Table("weights", "next tokens", "KL, nats", "greedy tokens followed")
    for name, row in rows.items():
        table.add_row(name, f"{row['agreement']:.1%}", f"{row['kl']:.3f}", row["followed"])
    Console(width=110).print(table)


def measured(model: Path) -> dict[str, dict[str, Any]]:
    tokenizer = load_tokenizer(model)
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=False,
        )
        for question in QUESTIONS
    ]
    stops = stop_ids(model)
    reference = torch_model(model)
    replies = [greedy(reference, prompt, stops) for prompt in prompts]
    expected = [after(reference, p, r) for p, r in zip(prompts, replies, strict=True)]
    sides: dict[str, Callable[[], Next]] = {
        "torchao 8da4w, groups of 32": lambda: torchao_model(model, 4),
        "torchao 8da8w": lambda: torchao_model(model, 8),
        "srl_edge 8da4w, fitted": lambda: fitted_model(model),
    }
    rows = {}
    for name, load in sides.items():
        side = load()
        same, total, divergence, followed = 0, 0, 0.0, []
        for prompt, reply, theirs in zip(prompts, replies, expected, strict=True):
            ours = after(side, prompt, reply)
            equal = (ours.argmax(-1) == theirs.argmax(-1)).tolist()
            same += sum(equal)
            total += len(reply)
            p, q = theirs.log_softmax(-1), ours.log_softmax(-1)
            divergence += float((p.exp() * (p - q)).sum())
            followed.append(f"{[*equal, False].index(False)}/{len(reply)}")
        rows[name] = {
            "agreement": same / total,
            "kl": divergence / total,
            "followed": ", ".join(followed),
        }
    return rows


def torch_model(model: Path) -> Next:
    from transformers import AutoModelForCausalLM

    network: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    return lambda ids: network(ids).logits[0]  # type: ignore[no-any-return]


def torchao_model(model: Path, bits: int) -> Next:
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, quantize_
    from torchao.quantization.granularity import PerAxis, PerGroup
    from transformers import AutoModelForCausalLM

    network: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    head = network.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.clone())  # the embedding is not to be quantized with it
    kind = torch.int4 if bits == 4 else torch.int8  # type: ignore[attr-defined]
    groups = PerGroup(32) if bits == 4 else PerAxis(0)
    with torch.inference_mode(False):
        quantize_(network, Int8DynamicActivationIntxWeightConfig(kind, groups))
    return lambda ids: network(ids).logits[0]  # type: ignore[no-any-return]


def fitted_model(model: Path) -> Next:
    """What an exported program computes, in torch."""
    from transformers import AutoConfig

    from srl_edge.exporters.executorch import build as executorch
    from srl_edge.exporters.executorch.model import build

    train = stories.problems(stories.SPLITS["train"], 24, 3, 60, "train")
    texts = calibration_texts(train, load_tokenizer(model), 0)
    config, precision = AutoConfig.from_pretrained(model), executorch.PRECISIONS["8da4w"]
    decoder = build(model, config, precision, CONTEXT, [t[:CONTEXT] for t in texts])

    def logits(ids: Tensor) -> Tensor:
        ones = [decoder(ids[:, at : at + 1], torch.tensor([at])) for at in range(ids.shape[1])]
        return torch.cat(ones)

    return logits


def after(side: Next, prompt: Tensor, reply: list[int]) -> Tensor:
    """Logits before each token of a reply."""
    ids = torch.cat([prompt, torch.tensor([reply[:-1]], dtype=torch.long)], 1)
    return side(ids)[prompt.shape[1] - 1 :]


def greedy(side: Next, prompt: Tensor, stops: list[int]) -> list[int]:
    reply: list[int] = []
    while len(reply) < NEW and not (reply and reply[-1] in stops):
        ids = torch.cat([prompt, torch.tensor([reply], dtype=torch.long)], 1)
        reply.append(int(side(ids)[-1].argmax()))
    return reply


if __name__ == "__main__":
    main()
