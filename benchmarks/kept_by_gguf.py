"""How much of what training changed in the weights survives the rounding of a GGUF file.

    python benchmarks/kept_by_gguf.py RUN

For each GGUF artifact of a run folder: the part of the change from the base to the merged weights
that its weights still have (projection on the change; 1 is all of it), and its rounding error in
units of the change, both over the linear layers.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from rich.console import Console
from rich.table import Table
from safetensors import safe_open

from srl_edge import recipe
from srl_edge.models.catalog import resolve

# Queries and keys are left out: the converter changes the order of their rows.
PARTS = {
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    base, merged = weights(resolve(recipe.load(run).model.name)), weights(run / "merged")
    table = Table("artifact", "change kept", "rounding error / change")
    for file in sorted(run.glob("artifacts/gguf-*/model.gguf")):
        along = change = error = 0.0
        for tensor in gguf.GGUFReader(file).tensors:
            _, _, part = tensor.name.removesuffix(".weight").partition("blk.")
            layer, _, kind = part.partition(".")
            if kind not in PARTS:
                continue
            name = f"model.layers.{layer}.{PARTS[kind]}.weight"
            rounded = gguf.dequantize(tensor.data, tensor.tensor_type)
            start, end = base(name), merged(name)
            along += float(np.vdot(rounded - start, end - start))
            change += float(np.vdot(end - start, end - start))
            error += float(np.vdot(rounded - end, rounded - end))
        table.add_row(file.parent.name, f"{along / change:.0%}", f"{math.sqrt(error / change):.1f}")
    Console().print(table)


def weights(folder: Path) -> Any:
    """A function from a tensor's name to its values, as float32."""
    where: dict[str, Any] = {}
    for path in folder.glob("*.safetensors"):
        file: Any = safe_open(path, "pt")
        where |= dict.fromkeys(file.keys(), file)
    return lambda name: where[name].get_tensor(name).float().numpy()


if __name__ == "__main__":
    main()
