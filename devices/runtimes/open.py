"""From an artifact, or what anybody made, to the runtime that runs it on this computer."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from srl_edge.artifact import MANIFEST, Artifact, load
from srl_edge.devices.runtimes.contract import ArtifactRuntime, Damaged, Runtime
from srl_edge.errors import InputError, out_of_memory
from srl_edge.files import read_json

_LIBRARIES = {
    "onnx": "ONNX Runtime",
    "optimum": "ONNX Runtime",
    "executorch": "ExecuTorch",
    "gguf": "llama.cpp",
    "mlx": "mlx-lm",
}


def open_model(kind: str, path: Path, threads: int = 0) -> Runtime:
    """Load a model folder (`kind` torch), an artifact of ours (`artifact`), or what others made.

    `adapter` is a PEFT folder, run beside the model that it names.
    That has `kind` FORMAT:TOKENS, its format and the context that it is run with, and no manifest;
    its path is a file or a folder. Raises InputError where its runtime is not installed.
    """
    if kind == "torch":
        from srl_edge.devices.runtimes.torch import TorchRuntime

        return TorchRuntime(path, threads)
    if kind == "adapter":
        from srl_edge.devices.runtimes.torch import TorchRuntime

        base = read_json(path / "adapter_config.json", "Adapter")["base_model_name_or_path"]
        return TorchRuntime(Path(base), threads, path)
    if kind == "artifact":
        return open_runtime(load(path), threads)
    format_, _, context = kind.partition(":")
    return _opened(format_, path, int(context), threads, None)


def open_runtime(artifact: Artifact, threads: int = 0) -> ArtifactRuntime:
    """Load an artifact; raises InputError where its runtime is not installed."""
    length = artifact.manifest["context_length"]
    return _opened(artifact.format, artifact.path, length, threads, artifact.adapter)


def _opened(
    format_: str, path: Path, context_length: int, threads: int, adapter: Path | None
) -> ArtifactRuntime:
    runtime = _kind(format_)
    try:
        return runtime(path, context_length, threads, adapter)
    except (InputError, ImportError):
        raise
    except Exception as error:  # each library has its own for a file that is cut off or damaged
        if out_of_memory(error):
            raise
        raise Damaged(path, _LIBRARIES.get(format_, format_), "load", error) from None


def _kind(format_: str) -> Callable[[Path, int, int, Path | None], ArtifactRuntime]:
    match format_:
        case "onnx":
            from srl_edge.devices.runtimes.onnx import OnnxRuntime

            return OnnxRuntime
        case "executorch":
            from srl_edge.devices.runtimes.executorch import ExecuTorchRuntime

            return ExecuTorchRuntime
        case "gguf" if find_spec("llama_cpp"):
            from srl_edge.devices.runtimes.llama_cpp import LlamaCppRuntime

            return LlamaCppRuntime
        case "gguf":
            from srl_edge.devices.runtimes.gguf import GgufRuntime

            return GgufRuntime
        case "optimum":
            from srl_edge.devices.runtimes.optimum import OptimumRuntime

            return OptimumRuntime
        case _:
            from srl_edge.devices.runtimes.mlx import MlxRuntime

            return MlxRuntime


def context_of(kind: str, path: Path) -> int | None:
    """Most tokens of a prompt and its reply; None where nothing bounds them but memory."""
    if kind == "artifact":
        length: int = read_json(path / MANIFEST, "Manifest")["context_length"]
        return length
    known = kind.partition(":")[2]
    return int(known) if known else None
