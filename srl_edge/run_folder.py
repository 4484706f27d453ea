"""What each stage of a run was made from, on disk, and whether that is still so."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srl_edge import __version__, owned
from srl_edge.artifact import MANIFEST
from srl_edge.data.sources import files_of, is_hub, path_of, placeless
from srl_edge.errors import InputError
from srl_edge.files import (
    expanded,
    fingerprint,
    read_json_if_there,
    replace,
    same_contents,
)
from srl_edge.models.chat_template import ADDITIONAL
from srl_edge.quantization.formats import ALL
from srl_edge.recipe import Recipe

# Sections of the recipe that a stage depends on, besides those of the stages before it.
STAGES: dict[str, tuple[str, ...]] = {
    "data": ("data", "prompt", "seed"),
    "train": ("model", "trainer", "stages"),
    "export": ("export",),
    "check": ("check",),
    "bench": ("bench",),
    "report": (),
}
# Settings of the trainer that may change between a run and the one that goes on with it.
FREE = (
    "checkpoint_every",
    "keep_last",
    "tracker",
    "threads",
    "vllm_command",
    "vllm_url",
    "vllm_folder",
)
VERSION = "srl-edge"
STALE = "not current then"  # which stages before it, and why
FAILED = "failed"  # a gate that measured, and was not passed
MADE = "made"  # what was written then, by its path in the run; not in runs of older versions
CONTENTS = " (contents)"  # ends the name of what a file holds
_SOURCES = ("data.source", "data.validation", "data.test")
_EVALUATION = "data.quality.evaluation."  # and the number of one
DONE, RECIPE = "stages.json", "recipe.toml"
_BEGUN_AGAIN = "it has not been finished since it, or a stage before it, was begun again"
_TRAINED = "trained"  # as `train`, and it stays while a stage before that is begun again
_BASE = "base"  # beside the stages: a hub's model, and its commit
_BEGUN = "begun"  # by the stage that began and has not ended well: what was noted from it on


def settings_of(recipe: Recipe, name: str, exclude_defaults: bool = False) -> dict[str, Any]:
    """The settings that a stage and those before it depend on, by dotted name."""
    names = list(STAGES)
    sections = {s for n in names[: names.index(name) + 1] for s in STAGES[n]}
    if recipe.data.difficulty.keep:  # found by asking the model
        sections |= {"model"}
    found = flat(
        recipe.model_dump(include=sections, mode="json", exclude_defaults=exclude_defaults)
    )
    # Files count by their names and their contents (`contents_of`), wherever they lie.
    return {_key(key): _named(key, value) for key, value in found.items()}


def _key(key: str) -> str:
    """A setting's name, with the file of a reward by its name alone."""
    before, reward, part = key.partition(".reward.")
    return f"{before}{reward}{Path(part).name}" if ":" in part else key


def _named(key: str, value: Any) -> Any:
    if key == "prompt.verifier" and ":" in value:
        return Path(value).name
    of_source = (
        key in _SOURCES
        or key.startswith(_EVALUATION)
        or (key.startswith("stages.") and key.endswith(".data"))
    )
    return placeless(value) if of_source and value else value


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by dotted name."""
    found: dict[str, Any] = {}

    def walk(value: object, key: str) -> None:
        if isinstance(value, Mapping | list | tuple):
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for inner_key, inner in items:
                walk(inner, f"{key}.{inner_key}" if key else str(inner_key))
        else:
            found[key] = value

    walk(settings, "")
    return found


def sources_of(recipe: Recipe) -> dict[str, Path]:
    """The files and folders that a recipe names, by setting; not all need be there."""
    found = {key: path for key, name in _named_sources(recipe).items() if (path := path_of(name))}
    found["model.name"] = Path(recipe.model.name)
    for i, stage in enumerate(recipe.stages):
        own = (key.rpartition(":")[0] for key in stage.reward if ":" in key)
        found |= {f"stages.{i}.reward {file}": Path(file) for file in own}
    file, colon, _ = recipe.prompt.verifier.rpartition(":")
    return found | ({"prompt.verifier": Path(file)} if colon else {})


def _named_sources(recipe: Recipe) -> dict[str, str]:
    """The sources of rows that a recipe names, by setting; not the parts of another one."""
    data = recipe.data
    parts = {"data.validation": data.validation, "data.test": data.test}
    own = {
        k: name for k, name in parts.items() if name and (is_hub(name) or Path(name).is_absolute())
    }
    own |= {f"{_EVALUATION}{i}": name for i, name in enumerate(data.quality.evaluation)}
    stages = {f"stages.{i}.data": stage.data for i, stage in enumerate(recipe.stages) if stage.data}
    return {"data.source": data.source, **own, **stages}


def _rows_of(recipe: Recipe, prefix: str) -> dict[str, Path]:
    """Every file that rows are read from, by its setting and, in a folder, its place there."""
    found = {}
    for key, name in _named_sources(recipe).items():
        folder = path_of(name)
        for file in files_of(name) if folder and key.startswith(prefix) else ():
            inner = file.relative_to(folder or file).as_posix()
            found[key if file == folder else f"{key}: {inner}"] = file
    return found


def _of_model(recipe: Recipe) -> dict[str, Path]:
    """Every file of a model that is a folder; of its folders, that of further chat templates."""
    model = expanded(recipe.model.name)
    parts = [*model.glob("[!.]*"), *model.glob(f"{ADDITIONAL}/*")] if model.is_dir() else []
    return {f"the model's {file.relative_to(model).as_posix()}": file for file in sorted(parts)}


def outputs_of(recipe: Recipe, name: str) -> list[str]:
    """What a stage leaves in the run folder, by its path there."""
    names = recipe.export.artifacts
    match name:
        case "data":
            return [f"data/{split}.jsonl" for split in ("train", "validation", "test")]
        case "train":
            return ["adapter/adapter_model.safetensors"]
        case "export":
            return ["merged/config.json", *(f"artifacts/{name}/manifest.json" for name in names)]
        case "check":
            return [f"parity/{name}.json" for name in names if ALL[name].runs]
        case "bench":
            return ["bench/results.json"]
        case _:
            return ["report.html", "report.md", "report.json"]


def contents_of(recipe: Recipe, name: str) -> dict[str, str]:
    """A hash of each file that a stage reads, by what it is; what is not there is left out."""
    run = recipe.run
    data = {f"data.{split}": run / "data" / f"{split}.jsonl" for split in ("train", "validation")}
    named, test = sources_of(recipe), {"data.test": run / "data" / "test.jsonl"}
    judge = {key: file for key, file in named.items() if key.startswith("prompt.")}
    files: dict[str, Path] = {}
    match name:
        case "data":
            files = _rows_of(recipe, "data.")
            if recipe.data.difficulty.keep:  # found by asking the model
                files |= _of_model(recipe) | judge
        case "train":
            own = {key: file for key, file in named.items() if key.startswith("stages.")}
            files = data | judge | own | _rows_of(recipe, "stages.") | _of_model(recipe)
            if any(stage.data for stage in recipe.stages):  # less what is held out
                files |= test
        case "export":
            files = data | {"the adapter": run / "adapter" / "adapter_model.safetensors"}
            files |= _of_model(recipe)
        case "check" | "bench":
            files = data | test | judge | _of_model(recipe)
            for artifact in recipe.export.artifacts:
                files[f"the artifact {artifact}"] = run / "artifacts" / artifact / MANIFEST
    return {f"{key}{CONTENTS}": fingerprint(f) for key, f in files.items() if f.is_file()}


def inputs_of(recipe: Recipe, name: str) -> dict[str, Any]:
    """All that a stage's result depends on: settings, contents of files, and this version."""
    return settings_of(recipe, name) | contents_of(recipe, name) | {VERSION: __version__}


def outdated(recipe: Recipe, name: str) -> str | None:
    """Why a stage's result is not current, in words; None where it is."""
    then = _finished(recipe.run).get(name)
    if not isinstance(then, dict):
        return "it has no finished result yet"
    gone = (output for output in outputs_of(recipe, name) if not (recipe.run / output).is_file())
    if missing := next(gone, None):
        return f"{missing} is not there"
    why = superseded(recipe, name)
    return why or ("the gate was not passed" if FAILED in then else None)


def superseded(recipe: Recipe, name: str) -> str | None:
    """Why what a stage found is not of the run as it is, in words; None where it is.

    So it is of a gate that was not passed, and of what of its files is there.
    """
    then = _finished(recipe.run).get(name)
    if not isinstance(then, dict):
        return _BEGUN_AGAIN
    if why := difference(then, inputs_of(recipe, name)):
        return why
    return _put_in_place(recipe, name, then)


def trained_otherwise(recipe: Recipe) -> str | None:
    """Why an adapter is not of its run's recipe and data as they are, in words; None where it is.

    An upgrade does not count, nor what `FREE` names, nor a file that cannot be looked at any more.
    """
    done = _finished(recipe.run)
    then = done.get(_TRAINED, done.get("train"))
    if not isinstance(then, dict):
        return _BEGUN_AGAIN
    now = inputs_of(recipe, "train")
    # A setting of a later version changes nothing where it is left at its default.
    known = then.keys() | settings_of(recipe, "train", exclude_defaults=True).keys()
    known -= {VERSION, *(f"trainer.{name}" for name in FREE)}
    known -= {key for key in then if key.endswith(CONTENTS) and key not in now}
    before, after = ({k: each[k] for k in known if k in each} for each in (then, now))
    return difference(before, after) or _put_in_place(recipe, "train", then)


def _put_in_place(recipe: Recipe, name: str, then: Mapping[str, Any]) -> str | None:
    """What lies in place of what a stage made then, in words."""
    if other := _changed_output(recipe, name):
        return f"{other} is gone, or other than it was written"
    foreign = _foreign_output(recipe, name, then)
    return foreign and f"{foreign} is not what this run's {name} made"


def _results_of(recipe: Recipe, name: str) -> list[str]:
    """What a stage wrote, by its path in the run: whole folders, or files of a shared one."""
    outputs = outputs_of(recipe, name)
    if name in ("check", "bench", "report"):
        return outputs
    return list(dict.fromkeys(output.rpartition("/")[0] for output in outputs))


def _changed_output(recipe: Recipe, name: str) -> str | None:
    """The first of a stage's files that is not as that stage wrote it, by its path in the run."""
    for result in _results_of(recipe, name):
        path = recipe.run / result
        if not path.exists():
            continue
        if path.is_dir():
            if found := owned.changed(path):
                return f"{result}/{found}"
        elif not owned.written(path):
            return result
    return None


def _foreign_output(recipe: Recipe, name: str, then: Mapping[str, Any]) -> str | None:
    """The first of a stage's results in whose place another lies, which srl-edge wrote as well."""
    made = then.get(MADE, {})
    results = (result for result in _results_of(recipe, name) if result in made)
    there = (result for result in results if (recipe.run / result).exists())
    return next((r for r in there if owned.contents(recipe.run / r) != made[r]), None)


def require_replaceable(recipe: Recipe, name: str) -> None:
    """Raise InputError where another run's result lies in place of what a stage made."""
    if found := _foreign_output(recipe, name, _finished(recipe.run).get(name, {})):
        raise InputError(
            f"{recipe.run / found}: is not what this run's {name} made, and it would be lost here; "
            "move it elsewhere, or give the run another folder (--output)."
        )


def difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first thing that is not as it was, in words."""
    if then.get(VERSION) != now.get(VERSION):
        return f"it was made by srl-edge {then.get(VERSION)}, and this is {now.get(VERSION)}"
    if STALE in then:
        return f"it went on from results that were not current ({then[STALE]})"
    changed = [k for k in (*now, *then) if not same(k, then.get(k), now.get(k))]
    if not changed:
        return None
    key = next((k for k in changed if k.endswith(CONTENTS)), changed[0])
    if key.endswith(CONTENTS):
        return f"{key.removesuffix(CONTENTS)} has other contents than then"
    return f"{key} was {_said(then.get(key))}, and is {_said(now.get(key))}"


def same(key: str, then: object, now: object) -> bool:
    """Whether an input is as it was; what is noted beside the inputs does not count."""
    if key.endswith(CONTENTS):
        return same_contents(then, now)
    if key == "model.name":  # a folder's files count by their contents, wherever they lie
        then, now = _without_place(then), _without_place(now)
    return then == now or key in (MADE, FAILED)


def _without_place(name: object) -> object:
    return Path(name).name if isinstance(name, str) and Path(name).is_absolute() else name


def begin(recipe: Recipe, name: str) -> None:
    """Note that a stage runs: its own result and those of the stages after it are out of date.

    They wait in the file for `finish`, however the stage fails meanwhile.
    """
    done, later = _finished(recipe.run), _from(name)
    begun = done.setdefault(_BEGUN, {})
    waiting = begun.setdefault(name, {})
    # What waits for a later stage goes on waiting for that one.
    for noted in (done, *(held for stage, held in begun.items() if stage not in later)):
        waiting |= {stage: noted.pop(stage) for stage in later if stage in noted}
    _write(recipe.run, done)


def finish(recipe: Recipe, name: str, inputs: Mapping[str, Any]) -> None:
    """Note that a stage is done, from which inputs, and what it made.

    Where that is what it had made of the same before, the stages after it are as current as they
    were when it began.
    """
    made = {result: owned.contents(recipe.run / result) for result in _results_of(recipe, name)}
    done, noted = _finished(recipe.run), {**inputs, MADE: made}
    begun = done.pop(_BEGUN, {})
    waiting = begun.pop(name, {})
    if waiting.get(name) == noted:
        done |= waiting
    else:
        later = _from(name)
        begun = {stage: held for stage, held in begun.items() if stage not in later}
    done[name] = noted
    if name == "train":
        done[_TRAINED] = noted
    _write(recipe.run, done | ({_BEGUN: begun} if begun else {}))


def _from(name: str) -> list[str]:
    """A stage and those after it."""
    names = list(STAGES)
    return names[names.index(name) :]


def base_of(recipe: Recipe) -> Path:
    """The local folder of a run's model; a hub's is of the commit that the run first found there.

    Raises InputError as `resolve` does.
    """
    from srl_edge.models.catalog import commit_of, resolve

    name, done = recipe.model.name, _finished(recipe.run)
    kept = done.get(_BASE, {})
    folder = resolve(name, kept.get("commit") if kept.get("name") == name else None)
    if (commit := commit_of(folder)) and kept != (found := {"name": name, "commit": commit}):
        _write(recipe.run, done | {_BASE: found})
    return folder


def _finished(run: Path) -> dict[str, Any]:
    return read_json_if_there(run / DONE, "Stages") or {}


def _write(run: Path, done: Mapping[str, Any]) -> None:
    replace(run / DONE, json.dumps(done, indent=1) + "\n")


def _said(value: object) -> str:
    return "not set" if value is None else repr(value)
