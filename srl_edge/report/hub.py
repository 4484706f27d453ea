"""From a run to a repository of models on a hub: what would go there, and its upload."""

import contextlib
import hashlib
import json
import mmap
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_edge import owned, run_folder
from srl_edge.artifact import ADAPTER, MANIFEST, is_current, load
from srl_edge.errors import InputError
from srl_edge.files import file_sha256, inside, read_json
from srl_edge.models.adapter_folder import FROZEN
from srl_edge.recipe import Recipe
from srl_edge.report import parity_rows
from srl_edge.report.card import Part, named_base, of_several, parts_of
from srl_edge.report.facts import gather

README = owned.CARD[0]
CONFIG = "adapter_config.json"
_PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_TEXT = (".json", ".md", ".svg", ".txt", ".jinja")
# Folders of people, as Linux, macOS and Windows have them.
_OF_SOMEBODY = re.compile(rb"(?:/home/|/Users/|[A-Za-z]:\\+Users\\+)[^/\\\s\"']+|/root/")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it would be in a repository: its path there, and its content or its file here."""

    path: str
    content: bytes | Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a push would upload, and what is to be known before it does."""

    uploads: list[Upload]
    notes: list[str]

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(upload.bytes for upload in self.uploads)


def plan(recipe: Recipe, run: Path, names: Sequence[str] = ()) -> Plan:
    """The files of a run's adapter, or of artifacts by name, with their cards; no network is used.

    Several artifacts get a folder each, and a card above them. Raises InputError where there is no
    such artifact, where one is not as it was exported, and where a file would tell where something
    lies on this computer.
    """
    parts = {part.name: part for part in parts_of(run)}
    chosen = [_named(parts, name, run) for name in dict.fromkeys(names)] or [parts["adapter"]]
    uploads, notes = [], list[str]()
    if why := run_folder.trained_otherwise(recipe):
        notes.append(
            f"the adapter may not be of the data and the recipe that the run has now (train: {why})"
            f", which its cards may name; `srl-edge run {shlex.quote(recipe.output)}` trains it as "
            "they are."
        )
    for part in chosen:
        beneath = f"{part.name}/" if len(chosen) > 1 else ""
        uploads += [
            _upload(f"{beneath}{name}", what) for name, what in _files(recipe, part).items()
        ]
        notes += _notes(recipe, part, run)
    if len(chosen) > 1:
        uploads.append(_upload(README, of_several(gather(recipe, run), chosen).encode()))
    for upload in uploads:
        _require_placeless(upload, run)
    return Plan(sorted(uploads, key=lambda upload: upload.path), notes)


def _named(parts: Mapping[str, Part], name: str, run: Path) -> Part:
    if name in parts and name != "adapter":
        return parts[name]
    there = ", ".join(other for other in parts if other != "adapter") or "none yet"
    raise InputError(f"--artifact: {run} has no {name!r}; its artifacts are {there}.")


def _files(recipe: Recipe, part: Part) -> dict[str, bytes | Path]:
    """The files of a part by their names in its folder; what tells of this computer is replaced."""
    found: dict[str, bytes | Path]
    card = {name: part.folder / name for name in owned.CARD if (part.folder / name).is_file()}
    for name in (*card, ADAPTER, FROZEN, CONFIG, MANIFEST):
        if (file := part.folder / name).is_file() and not inside(file, part.folder):
            raise InputError(f"{file}: a link to a file outside of its folder, which does not go.")
    base = named_base(recipe, part)
    if part.manifest is None:
        if not base:
            raise InputError(
                f"{part.folder / CONFIG}: names the base model by its folder on this computer, "
                "which nobody else has; say which one it is on the hub: `srl-edge card RUN "
                "--base-model OWNER/NAME`."
            )
        own = {name: part.folder / name for name in (ADAPTER, FROZEN)}
        found = {name: file for name, file in own.items() if file.is_file()}
        config = read_json(part.folder / CONFIG, "Adapter")
        return found | {CONFIG: _dumped(config | {"base_model_name_or_path": base})} | card
    manifest = load(part.folder).manifest
    found = {name: part.folder / name for name in (*manifest["files"], MANIFEST)}
    made_of = manifest.get("base", {})
    if Path(called := made_of.get("name", "")).is_absolute():
        public = made_of | {"name": base or Path(called).name}
        found[MANIFEST] = _dumped(manifest | {"base": public})
    return found | card


def _dumped(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _upload(path: str, what: bytes | Path) -> Upload:
    if isinstance(what, Path):
        return Upload(path, what, what.stat().st_size, file_sha256(what))
    return Upload(path, what, len(what), hashlib.sha256(what).hexdigest())


def _notes(recipe: Recipe, part: Part, run: Path) -> list[str]:
    """What of a part might make one think again."""
    said = []
    if not (part.folder / README).is_file():
        said.append(f"{part.name} has no card; `srl-edge card {run}` writes one.")
    if part.manifest is None:
        return said
    if not is_current(part.manifest, run):
        said.append(f"{part.name} was made of an earlier adapter than the run has now.")
    gate = run / "parity" / f"{part.name}.json"
    if not gate.is_file():
        said.append(f"{part.name} has not been through the gate (`srl-edge check {run}`).")
    elif why := _of_earlier(recipe, part):
        said.append(
            f"{part.name} has not been through the gate as it is now, but in an earlier state of "
            f"the run ({why}); `srl-edge check {run}` asks again."
        )
    elif not parity_rows.read(gate).passed:
        said.append(f"{part.name} did not pass the gate.")
    return said


def _of_earlier(recipe: Recipe, part: Part) -> str | None:
    """Why what the gate found of an artifact is not of that as it is; None where it is."""
    if part.name not in recipe.export.artifacts:
        return "the recipe no longer names it"
    return run_folder.superseded(recipe, "check")


def _require_placeless(upload: Upload, run: Path) -> None:
    """Raise InputError where a file may be pickled, or tells of a folder of this computer."""
    if upload.path.endswith(_PICKLED):
        raise InputError(f"{upload.path}: may be pickled; only safetensors are uploaded.")
    if found := _place_in(upload, run):
        raise InputError(
            f"{upload.path}: tells of a folder of this computer ({found}), so it is not uploaded; "
            "take that out, or make it again from what lies under a name without a path."
        )


def _place_in(upload: Upload, run: Path) -> str | None:
    """A folder of this computer that a file names; None where it names none."""
    places = [run.absolute()]
    with contextlib.suppress(RuntimeError):  # nobody knows where home is
        places.append(Path.home())
    places = [place for place in places if len(place.parts) > 1]
    with contextlib.ExitStack() as opened:
        content: bytes | mmap.mmap = b""
        if isinstance(upload.content, bytes):
            content = upload.content
        elif upload.bytes:
            file = opened.enter_context(upload.content.open("rb"))
            content = opened.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        for place in places:
            if content.find(f"{place}{os.sep}".encode()) >= 0:
                return str(place)
        of_text = upload.path.endswith(_TEXT)
        found = _OF_SOMEBODY.search(content) if of_text else None
        return found[0].decode(errors="replace") if found else None


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of models as it is before a push; `files` are none where it is not there."""

    name: str
    there: bool
    private: bool
    files: tuple[str, ...] = ()


def look(name: str) -> Repository:
    """What is on the hub under a name; raises InputError where it cannot be told."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    _require_token()
    try:
        found = HfApi().model_info(name)
    except RepositoryNotFoundError:
        return Repository(name, False, False)
    except Exception as error:
        raise _refused(name, error) from None
    files = tuple(each.rfilename for each in found.siblings or ())
    return Repository(name, True, bool(found.private), files)


def push(name: str, what: Plan, private: bool, message: str) -> str:
    """Upload a plan in one commit, to a repository that is made where there is none; its address.

    Raises InputError in one sentence where the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    _require_token()
    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        added = [CommitOperationAdd(each.path, each.content) for each in what.uploads]
        api.create_commit(name, added, commit_message=message)
    except Exception as error:
        raise _refused(name, error) from None
    return f"{api.endpoint}/{name}"


def _require_token() -> None:
    from huggingface_hub import get_token

    if not get_token():
        raise InputError(
            "no token for the hub: run `hf auth login`, or set HF_TOKEN to one that may write."
        )


def _refused(name: str, error: Exception) -> InputError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    why = {
        401: "the token is not valid; run `hf auth login` again",
        403: "the token may not write there; name a repository of yours, or take a token that may",
    }.get(status or 0, f"{type(error).__name__}: {_first_line(error)}")
    return InputError(f"{name}: the hub did not take it ({why}).")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
