"""A PEFT adapter as the file that a runtime reads beside a base artifact."""

import json
import tempfile
from pathlib import Path

from srl_edge import artifact as artifacts
from srl_edge.errors import InputError

FORMS = {Path(name).suffix: format_ for format_, name in artifacts.ADAPTERS.items()}


def convert(adapter: Path, out: Path, artifact: Path | None = None) -> Path:
    """Write a PEFT folder as `out`, an `.onnx_adapter` or a `.ptd` file by its name; return it.

    artifact: the folder of the base that will read it, exported with export.adapter = "separate";
    a `.ptd` file needs it, as a program takes one rank alone. Raises InputError where it does not
    fit.
    """
    if out.suffix not in FORMS:
        raise InputError(f"{out}: the name must end with {' or '.join(FORMS)}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        scratch = Path(temporary, out.name)
        if FORMS[out.suffix] == "onnx":
            from srl_edge.exporters.onnx_adapter import write_adapter

            write_adapter(adapter, scratch)
        else:
            _write_ptd(adapter, scratch, artifact)
        return scratch.rename(out)


def _write_ptd(adapter: Path, out: Path, artifact: Path | None) -> None:
    from transformers import AutoConfig

    from srl_edge.exporters.executorch_adapter import matrices, write

    if artifact is None:
        raise InputError(
            f"{out.name}: name the ExecuTorch artifact that will read it (--artifact)."
        )
    base = artifacts.load(artifact)
    if base.adapter is None or base.format != "executorch":
        raise InputError(
            f"{artifact}: takes no .ptd adapters; export it for ExecuTorch with "
            "--export.adapter separate."
        )
    config = AutoConfig.from_pretrained(artifact)
    write(matrices(adapter, config, base.manifest["adapter_rank"]), out)


def rank(adapter: Path) -> int:
    """Rank of a PEFT adapter."""
    return int(json.loads((adapter / "adapter_config.json").read_text())["r"])
