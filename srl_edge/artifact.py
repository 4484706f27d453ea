"""An exported model in one folder, and the manifest that says what it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from srl_edge import json_files
from srl_edge.errors import InputError
from srl_edge.models import file_sha256

MANIFEST = "manifest.json"
FORMATS = {
    "onnx": ("fp32", "fp16", "int8", "int4", "int4-small", "int4-mixed", "int4-rtn",
             "int4-kquant", "auto"),
    "executorch": ("fp32", "8da8w", "8da4w", "vulkan-fp16", "coreml-fp16"),
    "mlx": ("fp32", "fp16", "int8", "int4"),
    "gguf": ("fp32", "fp16", "q8_0", "q4_0", "q4_1", "q4_k_m"),
    "optimum": ("fp32",),
}  # fmt: skip
# What builds a format, as modules, and the extra that installs them.
BUILDERS = {
    "onnx": (("onnxruntime_genai", "onnx_ir"), "onnx"),
    "executorch": (("executorch", "torchao"), "executorch"),
    "mlx": (("mlx_lm",), "mlx"),
}
# What is built for hardware that no runtime on this computer drives.
UNTRIED = ("vulkan-fp16", "coreml-fp16")
# An adapter that is not in the weights, by format; an ExecuTorch program always needs some.
ADAPTERS = {"onnx": "adapter.onnx_adapter", "executorch": "adapter.ptd"}
NO_ADAPTER = "base.ptd"
GGUF = "model.gguf"


@dataclass(frozen=True, slots=True)
class Artifact:
    """An exported model: its folder, format, quantization, size on disk, and whole manifest."""

    path: Path
    format: str
    quantization: str
    bytes: int
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name in a recipe: <format>-<quantization>."""
        return f"{self.format}-{self.quantization}"

    @property
    def adapter(self) -> Path | None:
        """The file of its adapter, if that is not merged into its weights."""
        separate = self.manifest.get("adapter") == "separate"
        return self.path / ADAPTERS[self.format] if separate else None

    @property
    def no_adapter(self) -> Path | None:
        """What to switch to for the base model alone."""
        return self.path / NO_ADAPTER if self.format == "executorch" else None


def parse_name(name: str) -> tuple[str, str]:
    """Format and quantization of a name like `onnx-int4`; raises ValueError for an unknown one."""
    format_, _, quantization = name.partition("-")
    if quantization not in FORMATS.get(format_, ()):
        known = ", ".join(f"{f}-{q}" for f, quantizations in FORMATS.items() for q in quantizations)
        raise ValueError(f"{name!r} is not known; choose from {known}")
    return format_, quantization


def write_manifest(folder: Path, fields: dict[str, Any]) -> Path:
    """Write `manifest.json` with `fields` and the size and sha256 of every file of the folder."""
    files = {
        str(file.relative_to(folder)): {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(fields | {"files": files}, indent=1, ensure_ascii=False) + "\n")
    return path


def load(folder: Path) -> Artifact:
    """Read an artifact; raises InputError where a file is missing or is not what was exported."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder}: no {MANIFEST}, so this is not an artifact of srl-edge.")
    manifest = json_files.read(path)
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            raise InputError(f"{file}: missing; export the artifact again.")
        if file.stat().st_size != expected["bytes"] or file_sha256(file) != expected["sha256"]:
            raise InputError(f"{file}: changed since the export (sha256); export it again.")
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    return Artifact(folder, manifest["format"], manifest["quantization"], size, manifest)


def is_current(manifest: Mapping[str, Any], run: Path) -> bool:
    """Whether an artifact was made of the adapter that its run has now, as far as both tell."""
    adapter = run / "adapter" / "adapter_model.safetensors"
    if not adapter.is_file() or "adapter_sha256" not in manifest:
        return True
    return bool(manifest["adapter_sha256"] == file_sha256(adapter))


def require_builders(names: Sequence[str]) -> None:
    """Raise InputError where a package that builds one of these artifacts is not installed."""
    for name in names:
        modules, extra = BUILDERS.get(parse_name(name)[0], ((), ""))
        if missing := [module for module in modules if find_spec(module) is None]:
            raise InputError(
                f"export.artifacts: {name} needs {missing[0].replace('_', '-')}, which is not "
                f"installed: pip install 'srl-edge[{extra}]', or leave it out."
            )


def tool_versions(*packages: str) -> dict[str, str]:
    """Installed versions of packages; those that are absent are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
