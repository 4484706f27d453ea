"""Programs that ExecuTorch's own exporter writes, run as it means them to be."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("executorch")

import torch
from safetensors.torch import load_file

from srl_edge.devices.bench import facts, what
from srl_edge.devices.runtimes.contract import greedy
from srl_edge.devices.runtimes.executorch import ExecuTorchRuntime
from srl_edge.devices.runtimes.torch import TorchRuntime
from srl_edge.errors import InputError
from srl_edge.exporters.executorch import build as executorch
from srl_edge.recipe import Bench
from tests.helpers.artifacts import token_ids
from tests.helpers.foreign import copy_tokenizer
from tests.helpers.models import make_model


def original(model: Path) -> dict[str, torch.Tensor]:
    """Weights of a tiny Llama under the names, and in the order of rotated pairs, of Meta's own."""
    config = json.loads((model / "config.json").read_text())
    inner = {
        "self_attn.q_proj": "attention.wq",
        "self_attn.k_proj": "attention.wk",
        "self_attn.v_proj": "attention.wv",
        "self_attn.o_proj": "attention.wo",
        "mlp.gate_proj": "feed_forward.w1",
        "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3",
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    found: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(model / "model.safetensors").items():
        parts = name.split(".")
        if parts[1] == "embed_tokens":
            found |= {"tok_embeddings.weight": tensor, "output.weight": tensor}
        elif parts[1] == "norm":
            found["norm.weight"] = tensor
        else:
            short = ".".join(parts[3:-1])
            if short in ("self_attn.q_proj", "self_attn.k_proj"):
                paired = tensor.view(-1, 2, config["head_dim"] // 2, tensor.shape[1])
                tensor = paired.transpose(1, 2).reshape(tensor.shape)
            found[f"layers.{parts[2]}.{inner[short]}.weight"] = tensor
    return found


def exported(model: Path, folder: Path) -> Path:
    """What export_llm makes of a tiny Llama."""
    from executorch.examples.models.llama.export_llama_lib import export_llama
    from executorch.extension.llm.export.config.llm_config import LlmConfig

    config = json.loads((model / "config.json").read_text())
    sizes = {
        "dim": config["hidden_size"],
        "n_layers": config["num_hidden_layers"],
        "n_heads": config["num_attention_heads"],
        "n_kv_heads": config["num_key_value_heads"],
        "head_dim": config["head_dim"],
        "hidden_dim": config["intermediate_size"],
        "vocab_size": config["vocab_size"],
        "norm_eps": config["rms_norm_eps"],
        "rope_theta": config["rope_parameters"]["rope_theta"],
        "multiple_of": 32,
    }
    copy_tokenizer(model, folder)
    (folder / "params.json").write_text(json.dumps(sizes))
    torch.save(original(model), folder / "weights.pth")
    asked: Any = LlmConfig()
    asked.base.checkpoint = str(folder / "weights.pth")
    asked.base.params = str(folder / "params.json")
    asked.base.metadata = '{"get_bos_id": 1, "get_eos_ids": [2]}'
    asked.model.use_kv_cache = asked.model.use_sdpa_with_kv_cache = True
    asked.export.max_seq_length = asked.export.max_context_length = 128
    asked.export.output_name = str(folder / "llama.pte")
    asked.backend.xnnpack.enabled = True
    export_llama(asked)
    return folder / "llama.pte"


def test_what_export_llm_wrote_answers_as_torch_does(tmp_path: Path) -> None:
    model = make_model("llama", tmp_path / "model", num_hidden_layers=2)
    file = exported(model, tmp_path / "theirs")
    (theirs,) = what.models_of([file], False, Bench())
    assert (theirs.kind, theirs.name, theirs.stops) == ("executorch:128", "llama", (2,))
    assert theirs.told["quantization"] == "not told" and theirs.told["context"] == "128 tokens"
    runtime, reference = ExecuTorchRuntime(file, 128, 1), TorchRuntime(model, 1)
    prompt = token_ids(40)
    np.testing.assert_allclose(runtime.prefill(prompt), reference.prefill(prompt), atol=1e-3)
    assert greedy(runtime, prompt, 20, [511]) == greedy(reference, prompt, 20, [511])
    expected = runtime.prefill(prompt, False)
    runtime._most = 7  # as a program for shorter pieces has it
    np.testing.assert_allclose(runtime.prefill(prompt, False), expected, atol=1e-3)


class OfImages(torch.nn.Module):
    """Not a language model."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def test_another_program_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    from executorch.exir import to_edge

    file = copy_tokenizer(tiny_model, tmp_path) / "image.pte"
    program = to_edge(torch.export.export(OfImages(), (torch.zeros(1, 3, 8, 8),))).to_executorch()
    with file.open("wb") as out:
        program.write_to_file(out)
    with pytest.raises(InputError, match=r"takes tensors of \[\[1, 3, 8, 8\]\]; only a program"):
        what.models_of([file], False, Bench())


IDS_AND_POSITION = [[[1, 1], 4], [[1], 4]]


@pytest.mark.parametrize(
    ("methods", "values", "inputs", "said"),
    [
        (["kv_forward", "prefill_forward"], {}, [], "its methods are kv_forward, prefill_forward;"),
        (["forward"], {"use_kv_cache": [False]}, IDS_AND_POSITION, "keeps no keys and values"),
        (["forward"], {}, [[[1, 128], 4]], r"takes tensors of \[\[1, 128\]\]; only a program"),
        (["forward"], {}, [[[1, 8], 3], [[1], 3]], "and a position, both int64, is run"),
    ],
)
def test_a_program_with_other_conventions_is_refused_by_them(
    methods: list[str], values: dict[str, Any], inputs: list[Any], said: str
) -> None:
    told = {"methods": methods, "values": values, "inputs": inputs}
    with pytest.raises(InputError, match=f"^their.pte: .*{said}"):
        facts.read_pte(told, Path("their.pte"))


def test_what_a_program_tells_in_other_ways() -> None:
    told = {
        "methods": ["forward"],
        "values": {"get_eos_id": [7], "get_max_seq_len": [64]},
        "inputs": IDS_AND_POSITION,
    }
    found = facts.read_pte(told, Path("their.pte"))
    assert found == {"context": 64, "most": 1, "vocabulary": None, "stops": [7]}


def test_a_tokenizer_of_another_model_is_refused(tiny_model: Path) -> None:
    facts.require_vocabulary(tiny_model, 512, Path("their.pte"))
    facts.require_vocabulary(tiny_model, None, Path("their.pte"))
    with pytest.raises(InputError, match=r"their.pte: knows 9 tokens, and the tokenizer\.json"):
        facts.require_vocabulary(tiny_model, 9, Path("their.pte"))


def test_a_program_of_ours_without_its_manifest(tiny_model: Path, tmp_path: Path) -> None:
    file = executorch.export(tiny_model, copy_tokenizer(tiny_model, tmp_path), "fp32", 64)
    runtime, reference = ExecuTorchRuntime(file, 64, 1), TorchRuntime(tiny_model, 1)
    assert greedy(runtime, token_ids(20), 8, [2]) == greedy(reference, token_ids(20), 8, [2])


def test_the_pool_of_a_program_has_the_processors_to_itself(tmp_path: Path) -> None:
    """Threads of torch's own in each of the pool's made tokens take two to four times as long."""
    code = f"""
import os
from pathlib import Path
from srl_edge.devices.runtimes.executorch import ExecuTorchRuntime
try:
    ExecuTorchRuntime(Path({str(tmp_path)!r}), 64, 2)
except Exception:
    pass  # there is no program
import torch
print(torch.get_num_threads(), os.environ["OMP_NUM_THREADS"])
"""
    command = [sys.executable, "-c", code]
    told = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=told, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split()[-2:] == ["1", "2"]
