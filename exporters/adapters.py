"""One adapter in the forms that its runtimes read."""

from contextlib import ExitStack
from pathlib import Path

from srl_edge import artifact as artifacts
from srl_edge.errors import InputError
from srl_edge.exporters.converters import mlx_adapter
from srl_edge.files import read_json, scratch_folder
from srl_edge.models import loading
from srl_edge.quantization.formats import FORMATS

FORMS = {Path(each.adapter).suffix: name for name, each in FORMATS.items() if each.adapter}


def convert(adapter: Path, out: Path, artifact: Path | None = None) -> Path:
    """Write an adapter, a folder of PEFT or mlx-lm, in the form that the name `out` asks for.

    out: `*.onnx_adapter`, `*.ptd`, or a folder that is not there yet: PEFT's where `adapter` is
    mlx-lm's, else mlx-lm's. artifact: the folder of the base that will read it, exported with
    export.adapter = "separate"; a `.ptd` file needs it, as a program takes one rank alone. Returns
    `out`. Raises InputError where it does not fit.
    """
    if out.suffix and out.suffix not in FORMS:
        raise InputError(f"{out}: the name must end with {' or '.join(FORMS)}, or be a folder's.")
    if out.exists():
        raise InputError(f"{out}: is there already, and stays as it is; name another.")
    with ExitStack() as opened:
        peft = opened.enter_context(scratch_folder(out.parent, "peft"))
        scratch = peft.with_name(out.name if out.name != "peft" else "made")
        if (adapter / mlx_adapter.FILE).is_file():
            adapter = opened.enter_context(mlx_adapter.as_peft(adapter, peft))
            if not out.suffix:
                return adapter.rename(out)
        if not out.suffix:
            mlx_adapter.write(adapter, scratch)
        elif FORMS[out.suffix] == "onnx":
            from srl_edge.exporters.onnx.adapter import write_adapter

            write_adapter(adapter, scratch)
        else:
            _write_ptd(adapter, scratch, artifact)
        return scratch.rename(out)


def _write_ptd(adapter: Path, out: Path, artifact: Path | None) -> None:
    from srl_edge.exporters.executorch.adapter import matrices, write

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
    config = loading.settings(artifact)
    write(matrices(adapter, config, base.manifest["adapter_rank"]), out)


def rank(adapter: Path) -> int:
    """Rank of a PEFT adapter."""
    return int(read_json(adapter / "adapter_config.json", "Adapter")["r"])
