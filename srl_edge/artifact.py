"""An exported model in one folder, and the manifest that says what it is."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from srl_edge import owned
from srl_edge.errors import InputError
from srl_edge.files import file_sha256, inside, read_json
from srl_edge.quantization.formats import ALL, FORMATS

MANIFEST = "manifest.json"
NO_ADAPTER = "base.ptd"  # an ExecuTorch program always needs some adapter
GGUF = "model.gguf"
ADAPTER = "adapter_model.safetensors"  # of a PEFT folder
_HARMLESS = (*owned.CARD, "Thumbs.db", "desktop.ini")


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
    def runs(self) -> bool:
        """Whether a runtime on this computer drives it."""
        return ALL[self.name].runs

    @property
    def adapter(self) -> Path | None:
        """The file of its adapter, if that is not merged into its weights."""
        separate = self.manifest.get("adapter") == "separate"
        return self.path / str(FORMATS[self.format].adapter) if separate else None

    @property
    def no_adapter(self) -> Path | None:
        """What to switch to for the base model alone."""
        return self.path / NO_ADAPTER if self.format == "executorch" else None


def write_manifest(folder: Path, fields: dict[str, Any]) -> Path:
    """Write `manifest.json` with `fields` and the size and sha256 of every file of the folder."""
    files = {
        str(file.relative_to(folder)): {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (MANIFEST, owned.MARKER)
    }
    path = folder / MANIFEST
    path.write_text(
        json.dumps(fields | {"files": files}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return path


def load(folder: Path) -> Artifact:
    """Read an artifact; raises InputError where a file is missing or is not what was exported."""
    path = folder / MANIFEST
    if not folder.exists():
        raise InputError(f"{folder}: there is no such folder.")
    if not path.is_file():
        raise InputError(
            f"{folder}: no {MANIFEST}, so this is not an artifact of srl-edge.{held_by(folder)}"
        )
    manifest = read_json(path, "Manifest")
    name = f"{manifest['format']}-{manifest['quantization']}"
    if name not in ALL:
        raise InputError(f"{path}: {name!r} is no artifact that this version knows.")
    for name in _strangers(folder, manifest["files"]):
        raise InputError(f"{folder / name}: not of the export; move it elsewhere.")
    for name, expected in manifest["files"].items():
        file = folder / name
        if PurePosixPath(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
            raise InputError(f"{path}: names a file outside of the artifact ({name}).")
        if file.exists() and not inside(file, folder):
            raise InputError(f"{file}: a link to a file outside of the artifact.")
        if not file.is_file():
            raise InputError(f"{file}: missing; export the artifact again.")
        if file.stat().st_size != expected["bytes"] or file_sha256(file) != expected["sha256"]:
            raise InputError(f"{file}: changed since the export (sha256); export it again.")
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    return Artifact(folder, manifest["format"], manifest["quantization"], size, manifest)


def held_by(folder: Path) -> str:
    """A sentence that names the artifacts of a run, or of a folder of them; '' where none are."""
    found = [*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"artifacts/*/{MANIFEST}")]
    names = sorted(each.parent.relative_to(folder).as_posix() for each in found)
    return f" It holds {', '.join(names)}: name one of them." if names else ""


def _strangers(folder: Path, known: Iterable[str]) -> list[str]:
    """Files of an artifact that are not its own; what hubs and file managers add does no harm."""
    files = (p.relative_to(folder) for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    may_be = {MANIFEST, *_HARMLESS, *known}
    names = (p.as_posix() for p in files if not p.parts[0].startswith("."))
    return sorted(name for name in names if name not in may_be)


def weights_sha256(model: Path) -> str:
    """Hex sha256 of a model folder's weights, whatever the files are called."""
    files = sorted(model.glob("*.safetensors"))
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()


def adapter_sha256(adapter: Path) -> str:
    """Hex sha256 of a PEFT folder's weights."""
    return file_sha256(adapter / ADAPTER)


def is_current(manifest: Mapping[str, Any], run: Path) -> bool:
    """Whether an artifact was made of the adapter that its run has now, as far as both tell."""
    adapter = run / "adapter"
    if not (adapter / ADAPTER).is_file() or "adapter_sha256" not in manifest:
        return True
    return bool(manifest["adapter_sha256"] == adapter_sha256(adapter))


def require_made_of(artifact: Artifact, base: Path, adapter: Path | None) -> None:
    """Raise InputError where an artifact was made of another model or adapter, as far as it tells.

    adapter: a PEFT folder; None for the model alone.
    """
    made_of = artifact.manifest.get("base", {})
    if made_of.get("weights_sha256", known := weights_sha256(base)) != known:
        raise InputError(
            f"{artifact.path}: was made of other weights than those of {base}; name the model that "
            f"it was made of (--model), which was called {made_of.get('name')} then."
        )
    theirs = artifact.manifest.get("adapter_sha256")
    if "adapter_sha256" not in artifact.manifest or theirs == (adapter and adapter_sha256(adapter)):
        return
    raise InputError(
        f"{artifact.path}: was made "
        + (
            f"with another adapter than {adapter}; name its own (--adapter)."
            if adapter and theirs
            else "with an adapter; name it (--adapter)."
            if theirs
            else "of the model alone, without an adapter; leave --adapter out."
        )
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
