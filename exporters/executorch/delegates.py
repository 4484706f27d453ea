"""What a stage of an ExecuTorch program is lowered to: XNNPACK, or a phone's GPU or neural engine.

XNNPACK programs run on any CPU, this one too. Vulkan and Core ML programs are built here and have
never been run by us: their runtimes are on the devices alone. Attention, its cache and the
embedding stay on the CPU in all of them. Qualcomm's QNN needs a toolkit that is not on PyPI.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from executorch.exir.backend.compile_spec_schema import CompileSpec
from torch.export import ExportedProgram

_KNOWN = ("1.5.1",)  # versions of executorch whose programs are the same to the byte without passes
Delegate = tuple[str, list[CompileSpec]]


def delegate(quantization: str) -> Delegate:
    """Backend and its compile specs for a quantization of ExecuTorch artifacts."""
    return _DELEGATES.get(quantization, _xnnpack)()


def _xnnpack() -> Delegate:
    from executorch.backends.xnnpack import xnnpack_preprocess  # registers itself

    if version("executorch") in _KNOWN:
        setattr(xnnpack_preprocess, "XNNPACKPassManager", _NoPasses)  # noqa: B010  # mypy
    # With this word XNNPACK runs one of its seventeen passes.
    return "XnnpackBackend", [CompileSpec("dqlinear_partitioner", b"")]


class _NoPasses:
    """In place of XNNPACK's passes, which find nothing to do in the graphs of our stages.

    Looking takes 2.4 s a stage, for one pass 0.4 s, and what follows 0.1 s; nothing but a patch at
    run time turns off the last one.
    """

    def __init__(self, program: ExportedProgram, passes: Any = None) -> None:
        self._program = program

    def transform(self) -> ExportedProgram:
        return self._program


def _vulkan() -> Delegate:
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import parse_compile_options
    from executorch.backends.vulkan.vulkan_preprocess import VulkanBackend

    return VulkanBackend.__name__, parse_compile_options({"force_fp16": True})


def _coreml() -> Delegate:
    import coremltools
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    specs: Any = CoreMLBackend.generate_compile_specs(
        compute_precision=coremltools.precision.FLOAT16,
        minimum_deployment_target=coremltools.target.iOS18,
    )
    return CoreMLBackend.__name__, specs


_DELEGATES: dict[str, Callable[[], Delegate]] = {"vulkan-fp16": _vulkan, "coreml-fp16": _coreml}
