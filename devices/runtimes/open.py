"""From an artifact to the runtime that runs it on this computer."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from srl_edge.artifact import Artifact
from srl_edge.devices.runtimes.contract import ArtifactRuntime


def open_runtime(artifact: Artifact, threads: int = 0) -> ArtifactRuntime:
    """Load an artifact; raises InputError where its runtime is not installed."""
    length = artifact.manifest["context_length"]
    kind: Callable[[Path, int, int, Path | None], ArtifactRuntime]
    match artifact.format:
        case "onnx":
            from srl_edge.devices.runtimes.onnx import OnnxRuntime

            kind = OnnxRuntime
        case "executorch":
            from srl_edge.devices.runtimes.executorch import ExecuTorchRuntime

            kind = ExecuTorchRuntime
        case "gguf" if find_spec("llama_cpp"):
            from srl_edge.devices.runtimes.llama_cpp import LlamaCppRuntime

            kind = LlamaCppRuntime
        case "gguf":
            from srl_edge.devices.runtimes.gguf import GgufRuntime

            kind = GgufRuntime
        case "optimum":
            from srl_edge.devices.runtimes.optimum import OptimumRuntime

            kind = OptimumRuntime
        case _:
            from srl_edge.devices.runtimes.mlx import MlxRuntime

            kind = MlxRuntime
    return kind(artifact.path, length, threads, artifact.adapter)
