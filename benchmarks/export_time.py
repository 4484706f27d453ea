"""Time and memory to export a model as ExecuTorch 8da4w: srl_edge against ExecuTorch's export_llm.

    python benchmarks/export_time.py [--json] [--repeats 1] [--threads 1] [--sides srl_edge]

The same model, group size, context length and delegate (XNNPACK, custom attention, cache inside).
srl_edge fits its 4-bit weights to calibration texts, as its export stage does; export_llm rounds
them. Each measurement is a process of its own, the sides alternate; CPU-seconds of all threads,
imports included. Conversion of the weights into export_llm's layout is not counted.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from subprocess import DEVNULL, Popen

from rich.console import Console
from rich.table import Table

from srl_edge.data import stories
from srl_edge.models.catalog import resolve
from srl_edge.models.tokenizer import load_tokenizer, stop_ids

CONTEXT_LENGTH, GROUP = 1024, 32
SIDES = ("srl_edge", "export_llm")
# Where the parts of a Llama are in export_llm's checkpoints.
_PARTS = {
    "model.": "",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "embed_tokens": "tok_embeddings",
    "lm_head": "output",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="of the Llama family")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    model = resolve(options.model)
    if options.export:
        export(model, options.export)
        return
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in options.sides}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(options.repeats):
            for side, found in runs.items():
                file = folder / side / "model.pte"
                file.parent.mkdir(exist_ok=True)
                if side == "srl_edge":
                    command = [
                        str(Path(__file__).resolve()),
                        "--model",
                        options.model,
                        "--export",
                        str(file.parent),
                    ]
                else:
                    config = for_export_llm(model, folder, file)
                    command = [
                        "-m",
                        "executorch.extension.llm.export.export_llm",
                        "--config",
                        str(config),
                    ]
                found.append(
                    measured(command, options.threads, folder) | {"mb": file.stat().st_size / 1e6}
                )
    report(runs, options)


def export(model: Path, out: Path) -> None:
    """What the export stage does for one artifact, calibration texts included."""
    from srl_edge.data.calibration import calibration_texts
    from srl_edge.exporters.executorch import build as executorch

    train = stories.problems(stories.SPLITS["train"], 24, 3, 60, "train")
    texts = calibration_texts(train, load_tokenizer(model), 0)
    executorch.export(model, out, "8da4w", CONTEXT_LENGTH, texts)


def for_export_llm(model: Path, folder: Path, out: Path, embedding: str = "8,0") -> Path:
    """Write the model in the layout that export_llm reads, and its configuration file."""
    import torch
    from safetensors.torch import load_file

    config = json.loads((model / "config.json").read_text())
    weights = {}
    for file in model.glob("*.safetensors"):
        for name, tensor in load_file(file).items():
            for ours, theirs in _PARTS.items():
                name = name.replace(ours, theirs)
            weights[name] = tensor.float()
    weights.setdefault("output.weight", weights["tok_embeddings.weight"])
    torch.save(weights, folder / "model.pth")
    heads = config["num_attention_heads"]
    parameters = {
        "dim": config["hidden_size"],
        "hidden_dim": config["intermediate_size"],
        "n_heads": heads,
        "n_kv_heads": config["num_key_value_heads"],
        "n_layers": config["num_hidden_layers"],
        "norm_eps": config["rms_norm_eps"],
        "rope_theta": config["rope_parameters"]["rope_theta"],
        "use_scaled_rope": False,
        "vocab_size": config["vocab_size"],
        "use_hf_rope": True,
        "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
    }
    (folder / "params.json").write_text(json.dumps(parameters))
    metadata = {"get_bos_id": config["bos_token_id"], "get_eos_ids": stop_ids(model)}
    sections = {
        "base": {
            "model_class": "smollm2",
            "checkpoint": str(folder / "model.pth"),
            "params": str(folder / "params.json"),
            "metadata": json.dumps(metadata),
        },
        "model": {
            "use_kv_cache": True,
            "use_sdpa_with_kv_cache": True,
            "dtype_override": "fp32",
            "enable_dynamic_shape": True,
        },
        "export": {
            "max_seq_length": CONTEXT_LENGTH,
            "max_context_length": CONTEXT_LENGTH,
            "output_name": str(out),
        },
        "quantization": {"qmode": "8da4w", "group_size": GROUP, "embedding_quantize": embedding},
        "backend": {"xnnpack": {"enabled": True, "extended_ops": True}},
    }
    file = folder / "export_llm.yaml"
    file.write_text(json.dumps(sections))  # JSON is YAML
    return file


def measured(command: Sequence[str], threads: int, folder: Path) -> dict[str, float]:
    """CPU-seconds and peak memory in MB of a Python process in a folder; it must succeed."""
    child = Popen(
        [sys.executable, *command],
        cwd=folder,  # export_llm leaves logs where it stands
        stdout=DEVNULL,
        stderr=DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {child.returncode}.")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # of ru_maxrss: bytes there, else KiB
    return {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / unit}


def report(runs: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> None:
    middle = {
        side: {key: round(median(run[key] for run in found), 1) for key in found[0]}
        for side, found in runs.items()
    }
    if options.json:
        names = {"srl_edge": "ours", "export_llm": "export_llm"}
        figures = {f"{names[s]}_{k}": v for s, row in middle.items() for k, v in row.items()}
        print(json.dumps(figures | {"threads": options.threads, "all": runs}))
        return
    table = Table("", "CPU-seconds", "peak memory, MB", "artifact, MB")
    for side, row in middle.items():
        table.add_row(side, *(f"{row[key]:.1f}" for key in ("cpu_seconds", "peak_mb", "mb")))
    Console().print(table)


if __name__ == "__main__":
    main()
