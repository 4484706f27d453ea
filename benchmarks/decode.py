"""Decoding speed of a wide batch on a CPU: the training sampler against transformers' generate().

    python benchmarks/decode.py [--json] [--threads 2] [--repeats 5] [--onnx fp32 int8 int4]
                                [--generate bfloat16 float32] [--quantized int8 nf4] [--torch]

Tokens a second of the decoding steps alone: the time of a whole call less that of one which decodes
a single token, so prefill does not count on either side, medians of both. All take the same prompts
of about 200 tokens, sample at temperature 1, and may not stop early. Sides alternate. `--onnx` adds
the sampler on ONNX Runtime (`trainer.sampler = "onnx"`), at the quantizations named. `--quantized`
adds the training sampler on quantized layers, with each of `trainer.sampling_weights`. `--torch`
adds it as it is where ONNX Runtime does not run its steps.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from transformers import AutoModelForCausalLM
from workload import GROUP_SIZE, Shape, step_prompts_of

from srl_edge.exporters.onnx.adapter import export_base
from srl_edge.method.prompts import prompt_ids
from srl_edge.models.catalog import resolve
from srl_edge.recipe import Trainer
from srl_edge.trainers.policy.contract import OnnxBase
from srl_edge.trainers.torch_backend.decoding.pytorch import Plain, TorchDecoding
from srl_edge.trainers.torch_backend.policy import TorchPolicy

NEW_TOKENS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="rows that are decoded together")
    parser.add_argument("--onnx", nargs="*", default=[], metavar="QUANTIZATION")
    parser.add_argument("--quantized", nargs="*", default=[], metavar="QUANTIZATION")
    parser.add_argument("--torch", action="store_true", help="its steps on PyTorch too")
    dtypes = ["bfloat16", "float32"]
    parser.add_argument("--generate", nargs="+", choices=dtypes, default=dtypes, help="in which")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    model = resolve(options.model)
    policy = _policy(model, options.threads)
    prompts = [
        prompt_ids(policy.tokenizer, p)
        for group in step_prompts_of(Shape(options.batch // GROUP_SIZE, 1, 3, NEW_TOKENS, 0, 1))
        for p in group
    ]
    sides: dict[str, Callable[[int], object]] = {"srl_edge": _sampling(policy, prompts)}
    if options.torch:
        sides["srl_edge on PyTorch"] = _sampling(_on_pytorch(model, options.threads), prompts)
    for quantization in options.onnx:
        with tempfile.TemporaryDirectory() as scratch:

            def onnx_base(adapter: Path, out: Path = Path(scratch), to: str = quantization) -> Path:
                return export_base(model, adapter, out / "base", to)

            with_onnx = _policy(model, options.threads, onnx_base, sampler="onnx")
        sides[f"srl_edge onnx {quantization}"] = _sampling(with_onnx, prompts)
    for quantization in options.quantized:
        for weights in ("merged", "adapter"):
            chosen = {"quantization": quantization, "sampling_weights": weights}
            sampler = _sampling(_policy(model, options.threads, **chosen), prompts)
            sides[f"srl_edge {quantization} {weights}"] = sampler
    for dtype in options.generate:
        sides[f"generate {dtype}"] = _generate(model, prompts, dtype)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(options.repeats + 1):
        for name, run in sides.items():
            taken = _seconds(lambda r=run: r(1)), _seconds(lambda r=run: r(NEW_TOKENS))  # type: ignore[misc]
            if repeat:  # the first warms up
                seconds[name].append(taken)
    decoded = len(prompts) * GROUP_SIZE * (NEW_TOKENS - 1)
    # Of medians: generate()'s prefill takes nearly as long as its decoding, and one that was
    # disturbed would make a rate of its own look good.
    rates = {}
    for name, repeats in seconds.items():
        one, all_tokens = map(median, zip(*repeats, strict=True))
        rates[name] = decoded / (all_tokens - one)
    best = max(rate for name, rate in rates.items() if name.startswith("generate"))
    each = {k: [decoded / (all_tokens - one) for one, all_tokens in v] for k, v in seconds.items()}
    figures = {
        "tokens_per_second": {k: round(rate, 1) for k, rate in rates.items()},
        "decode_ratio": round(rates["srl_edge"] / best, 2),
        "threads": options.threads,
        "all": {k: [round(rate, 1) for rate in v] for k, v in each.items()},
    }
    if options.json:
        print(json.dumps(figures))
        return
    for name, rate in rates.items():
        print(f"{name:24} {rate:7.0f} tok/s ({min(each[name]):.0f} .. {max(each[name]):.0f})")
    print(f"{figures['decode_ratio']} times the faster generate(), {options.threads} threads")


def _policy(
    model: Path, threads: int, onnx_base: OnnxBase | None = None, **settings: str
) -> TorchPolicy:
    chosen = Trainer.model_validate({"threads": threads, **settings})
    policy = TorchPolicy(model, chosen, 0, onnx_base)
    policy.stop_ids = [-1]
    return policy


@torch.no_grad()
def _on_pytorch(model: Path, threads: int) -> TorchPolicy:
    policy = _policy(model, threads)
    merged = policy.decoder.with_linears(lambda x: Plain(x.merged_weight(), x.bias))  # type: ignore[attr-defined]
    policy._sampler = TorchDecoding(merged, Plain(policy.head, None))
    return policy


def _sampling(policy: TorchPolicy, prompts: list[tuple[int, ...]]) -> Callable[[int], object]:
    return lambda new: policy.sample(prompts, GROUP_SIZE, new, 1.0, seed=0)


def _generate(model: Path, prompts: list[tuple[int, ...]], dtype: str) -> Callable[[int], object]:
    network = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
    width = max(map(len, prompts))
    rows = [p for p in prompts for _ in range(GROUP_SIZE)]
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in rows])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in rows])
    return lambda new: network.generate(
        ids,
        attention_mask=mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        min_new_tokens=new,
        max_new_tokens=new,
        pad_token_id=0,
    )


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
