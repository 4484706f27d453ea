"""Several prompts at once: the same replies as one at a time, greedy and drawn."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from srl_edge.devices.hosts.runner import chooser
from srl_edge.devices.runtimes import rows
from srl_edge.devices.runtimes.contract import Logits, greedy, likeliest
from srl_edge.devices.runtimes.onnx import OnnxRuntime
from srl_edge.devices.runtimes.onnx_rows import takes_rows
from srl_edge.devices.runtimes.open import open_model
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.devices.runtimes.torch_rows import TorchRows
from srl_edge.exporters.merging.merge import merge
from srl_edge.exporters.onnx import build as onnx
from tests.helpers.artifacts import make_adapter, token_ids
from tests.helpers.models import make_model, make_tokenizer

Ids = list[list[int]]
SHARED = token_ids(50, 9)
PROMPTS = [token_ids(30, 1), token_ids(7, 2), token_ids(45, 3), token_ids(30, 4)]
ALIKE = [[*SHARED, *token_ids(n, n)] for n in (3, 11, 6)]


def test_an_adapter_is_run_beside_the_model_that_it_names(tiny_model: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_model, tmp_path / "adapter", 3)
    merge(tiny_model, adapter, tmp_path / "merged")
    prompt = PROMPTS[0]
    merged, beside = (
        open_model(kind, path, 1).prefill(prompt)
        for kind, path in (("torch", tmp_path / "merged"), ("adapter", adapter))
    )
    np.testing.assert_allclose(merged, beside, atol=1e-4)
    plain = open_model("torch", tiny_model, 1).prefill(prompt)
    assert np.abs(plain - beside).max() > 0.1


def one_by_one(
    runtime: Any, prompts: list[list[int]], limit: int, stops: list[int], seeds: Any = None
) -> list[list[int]]:
    found = []
    for at, prompt in enumerate(prompts):
        choose = chooser(1.0, seeds[at]) if seeds else likeliest
        ids = [choose(runtime.prefill(prompt, False))]
        while ids[-1] not in stops and len(ids) < limit:
            ids.append(choose(runtime.decode(ids[-1])))
        found.append(ids)
    return found


def together(
    runtime: Any, prompts: list[list[int]], limit: int, stops: list[int], seeds: Any = None
) -> list[list[int]]:
    choices = [chooser(1.0, seed) for seed in seeds] if seeds else [likeliest] * len(prompts)
    found: Ids = runtime.complete(prompts, [limit] * len(prompts), stops, choices)
    return found


def compare(runtime: Any) -> None:
    assert runtime.takes_several()
    stops = list(range(0, 512, 9))  # rows end at different times
    for prompts in (PROMPTS, ALIKE, [PROMPTS[0]] * 3, ALIKE[:2], PROMPTS):
        assert together(runtime, prompts, 12, [511]) == one_by_one(runtime, prompts, 12, [511])
        assert together(runtime, prompts, 30, stops) == one_by_one(runtime, prompts, 30, stops)
    seeds = [5, 6, 7, 8]
    drawn = together(runtime, PROMPTS, 12, [511], seeds)
    assert drawn == one_by_one(runtime, PROMPTS, 12, [511], seeds)
    # The same draws in other company.
    assert together(runtime, PROMPTS[1:3], 12, [511], seeds[1:3]) == drawn[1:3]
    same = together(runtime, [PROMPTS[0]] * 3, 12, [511], [1, 2, 1])
    assert same[0] == same[2] != same[1]


def test_torch(family_model: Path) -> None:
    """Gemma 3's sliding windows among them, past which the prompts reach."""
    compare(TorchRuntime(family_model, 1))


def test_a_family_that_counts_places_in_its_cache(tmp_path: Path) -> None:
    """MPT's attention falls with the distance of places, of which padding is some."""
    config = AutoConfig.for_model(
        "mpt", vocab_size=512, d_model=64, n_heads=4, n_layers=2, max_seq_len=256
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    make_tokenizer(tmp_path)
    runtime = TorchRuntime(tmp_path, 1)
    together = TorchRows(runtime.model).start(ALIKE, 12)
    alone = np.stack([runtime.prefill(prompt, False) for prompt in ALIKE])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_onnx(tiny_model: Path, tmp_path: Path) -> None:
    onnx.export(tiny_model, tmp_path, "fp32", 256)
    shutil.copy(tiny_model / "tokenizer.json", tmp_path)
    shutil.copy(tiny_model / "tokenizer_config.json", tmp_path)
    compare(OnnxRuntime(tmp_path, 256, 1))


def test_a_graph_that_is_told_positions(tiny_model: Path, tmp_path: Path) -> None:
    """As the builder writes for other processors; in fp16."""
    onnx.export(tiny_model, tmp_path, "fp16", 256)
    shutil.copy(tiny_model / "tokenizer.json", tmp_path)
    shutil.copy(tiny_model / "tokenizer_config.json", tmp_path)
    runtime = OnnxRuntime(tmp_path, 256, 1)
    assert together(runtime, PROMPTS, 8, [511]) == one_by_one(runtime, PROMPTS, 8, [511])


def test_a_graph_with_windows_is_asked_one_at_a_time(tmp_path: Path) -> None:
    model = make_model("gemma3", tmp_path / "model")
    out = tmp_path / "out"
    out.mkdir()
    onnx.export(model, out, "fp32", 256)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model / name, out)
    assert not OnnxRuntime(out, 256, 1).takes_several()


def test_a_folder_that_leaves_names_unsaid_is_asked_one_at_a_time(tmp_path: Path) -> None:
    assert not takes_rows(tmp_path, {"filename": "model.onnx", "num_hidden_layers": 2})


class Counting:
    """Rows that say the number of their prompt, and how many there were at once."""

    def __init__(self) -> None:
        self.widths: list[int] = []
        self.now: list[int] = []

    def bytes_a_token(self) -> int:
        return 1 << 20

    def start(self, prompts: Any, room: int) -> Logits:
        self.widths.append(len(prompts))
        self.now = [prompt[0] for prompt in prompts]
        return np.eye(16, dtype=np.float32)[self.now]

    def advance(self, tokens: Any) -> Logits:
        assert list(tokens) == self.now
        return np.eye(16, dtype=np.float32)[self.now]

    def keep(self, kept: Any) -> None:
        self.now = [self.now[row] for row in kept]


def test_rows_are_as_many_as_fit_and_each_has_its_limit() -> None:
    counting, prompts = Counting(), [[at] for at in range(10)]
    limits = [1 + at % 3 for at in range(10)]
    found = rows.complete(counting, 4, prompts, limits, [15], [likeliest] * 10)
    assert counting.widths == [4, 4, 2]
    assert found == [[at] * limit for at, limit in enumerate(limits)]
    counting.widths.clear()
    long = [[at] * 997 for at in range(4)]  # a GiB of caches each
    rows.complete(counting, 4, long, limits[:4], [15], [likeliest] * 4)
    assert counting.widths == [2, 2]


def test_greedy_is_what_the_gate_asks_of_torch(tiny_model: Path) -> None:
    runtime = TorchRuntime(tiny_model, 1)
    expected = [greedy(runtime, prompt, 12, [2]) for prompt in PROMPTS]
    assert together(runtime, PROMPTS, 12, [2]) == expected
