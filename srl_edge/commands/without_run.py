"""`export` and `check` of a model of one's own, with an adapter or none: no run.

Both make a `Subject` of what they are given, for the same code that a run's stages call.
"""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srl_edge.commands.parser import Parser
from srl_edge.errors import InputError, UnmeasuredError
from srl_edge.method.prompt_form import PRESETS

if TYPE_CHECKING:
    from srl_edge.artifact import Artifact
    from srl_edge.devices.runtimes.chat import Asked
    from srl_edge.exporters.subject import Subject
    from srl_edge.method.types import Trajectory
    from srl_edge.recipe import Export

_REPLY_TOKENS = 256  # of a problem's solution at most, and a quarter of the context at most
_ROWS = 400  # of a file at most, from all over it: more of them are not asked anyway


def add_model(parser: Parser) -> Any:
    """The options that name a model instead of a run; their group in the help, for more."""
    group = parser.add_argument_group("without a run")
    group.add_argument("--model", metavar="M", help="the model: a known name, a hub id or a folder")
    group.add_argument(
        "--adapter",
        type=_path,
        metavar="A",
        help="an adapter's folder, by PEFT or mlx-lm; without one, the model as it is",
    )
    group.add_argument(
        "--data",
        type=_path,
        metavar="FILE",
        help="worked problems as JSON Lines, to calibrate and compare with; without them, general "
        "ones",
    )
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads to use (all)")
    group.add_argument(
        "--out",
        type=_path,
        metavar="DIR",
        help="folder for the artifacts of export, or the figures of check",
    )
    return group


def _path(text: str) -> Path:
    from srl_edge.files import expanded

    return expanded(text)


def require_no_model(parser: Parser, chosen: Namespace, *more: str) -> None:
    """Raise InputError where an option is given that goes with `--model` alone."""
    from srl_edge.recipe import Export

    for name in ("adapter", "data", "threads", "out", *more):
        if getattr(chosen, name) is not None:
            instead = f"; of a run it is --export.{name}" if name in Export.model_fields else ""
            flag = name.replace("_", "-")
            parser.error(f"--{flag} goes with --model, which is not given{instead}")


def require_adapter(chosen: Namespace) -> None:
    """Raise InputError where the folder of an adapter is not there."""
    if chosen.adapter and not chosen.adapter.is_dir():
        raise InputError(
            f"{chosen.adapter}: no such folder; --adapter takes one of PEFT or of mlx-lm."
        )


def export(chosen: Namespace) -> Path:
    """Write artifacts of a model into folders below `chosen.out`; return that."""
    from srl_edge import owned
    from srl_edge.models.catalog import config_of
    from srl_edge.models.routes import require_exportable
    from srl_edge.quantization.formats import require_builders, require_options
    from srl_edge.recipe import Export
    from srl_edge.run_lock import STAGE, held

    settings: Export = _settings(
        Export,
        artifacts=chosen.artifacts,
        context_length=chosen.context_length,
        int8_layers=chosen.int8_layers,
    )
    require_builders(settings.artifacts)
    config, name = config_of(chosen.model), chosen.model
    require_exportable(config, settings.artifacts, settings.context_length, name)
    # Torch, which takes seconds to load, comes after what can be said without it.
    from srl_edge.devices.runtimes.chat import Asked
    from srl_edge.exporters.export import write_artifacts

    preset = chosen.prompt_preset or "math"
    asked = Asked(PRESETS[preset], whole=preset == "math")
    require_options(settings.artifacts, settings.adapter, settings.int8_layers)
    if chosen.out.exists():
        owned.claim(chosen.out, "exports")  # before a model is fetched
    given = _given(chosen, asked, settings)
    out = owned.claim(chosen.out, "exports")
    with held(out, STAGE), _in_scratch(given, out) as subject:
        _require_replaceable(subject, out)
        return write_artifacts(subject, out)


def _require_replaceable(subject: "Subject", out: Path) -> None:
    """Raise InputError where artifacts of another model or adapter would be lost."""
    from srl_edge import artifact as artifacts
    from srl_edge.files import read_json

    manifests = [out / name / artifacts.MANIFEST for name in subject.export.artifacts]
    if not (there := [file for file in manifests if file.is_file()]):
        return
    adapter = subject.adapter and artifacts.adapter_sha256(subject.adapter)
    made_of = artifacts.weights_sha256(subject.base), adapter
    for file in there:
        its = read_json(file, "Manifest")
        base = its.get("base") or {}
        if (base.get("weights_sha256"), its.get("adapter_sha256")) != made_of:
            raise InputError(
                f"{file.parent}: was made of another model or adapter ({base.get('name')}), and it "
                "would be lost here; move it elsewhere, or name another folder (--out)."
            )


def check(chosen: Namespace) -> list[dict[str, Any]]:
    """Print whether each artifact answers as its model; return the figures of those measured.

    Raises ParityError where one does not, UnmeasuredError where one could not be measured.
    """
    from srl_edge import artifact as artifacts
    from srl_edge import owned
    from srl_edge.devices.runtimes.chat import asked_of
    from srl_edge.exporters.check import gate
    from srl_edge.exporters.merging.trained_weights import merge_trained
    from srl_edge.exporters.parity.faults import in_words
    from srl_edge.quantization.formats import require_runtime
    from srl_edge.recipe import Export
    from srl_edge.report.parity_rows import ParityRow, as_json
    from srl_edge.run_lock import STAGE, held
    from srl_edge.terminal.signs import printable

    found = [artifacts.load(folder) for folder in chosen.path]
    first, asked = found[0], asked_of(found[0].path)
    if other := next((each for each in found if asked_of(each.path) != asked), None):
        raise InputError(
            f"{other.path}: is asked otherwise than {first.path} (prompt in their manifests); "
            "check them one by one."
        )
    if chosen.out and len({each.name for each in found}) < len(found):
        raise InputError("--out: two artifacts have the same name; check them one by one.")
    unmeasured = [f"{each.name}: nothing here runs it." for each in found if not each.runs]
    if not (here := [each for each in found if each.runs]):
        raise UnmeasuredError("\n".join(unmeasured))
    for each in here:
        require_runtime(each.format, each.path)
    length = min(each.manifest["context_length"] for each in found)
    into = (first.manifest.get("merge") or {}).get("into", "auto")
    given = _given(chosen, asked, Export(context_length=length, merge_into=into))
    with _in_scratch(given, chosen.out or first.path.resolve().parent) as subject:
        for each in found:
            artifacts.require_made_of(each, subject.base, subject.adapter)
        folder = owned.claim(chosen.out, _checks_of(subject)) if chosen.out else None
        if folder:
            for each in here:
                _require_of(each, folder / f"{each.name}.json")
        measured: list[dict[str, Any]] = []

        def tell(row: ParityRow) -> None:
            measured.append(as_json(row))
            if not chosen.json:
                print(printable(in_words(row)))

        with held(folder, STAGE) if folder else nullcontext():
            merge_trained(subject)
            gate(subject, here, folder, tell, unmeasured)
    return measured


def _require_of(artifact: "Artifact", figures: Path) -> None:
    """Raise InputError where figures are those of another artifact of the same name."""
    from srl_edge.artifact import MANIFEST
    from srl_edge.files import file_sha256
    from srl_edge.report.parity_rows import read

    of = read(figures).manifest_sha256 if figures.is_file() else None
    if of not in (None, file_sha256(artifact.path / MANIFEST)):
        raise InputError(
            f"{figures}: is of another {artifact.name} than {artifact.path}, and it would be lost "
            "here; move it elsewhere, or name another folder (--out)."
        )


def _checks_of(subject: "Subject") -> str:
    """What the folder of its figures is for: another model's would be lost in it."""
    from srl_edge import artifact as artifacts

    found = f"checks of weights {artifacts.weights_sha256(subject.base)[:12]}"
    if subject.adapter is None:
        return found
    return f"{found} and adapter {artifacts.adapter_sha256(subject.adapter)[:12]}"


def _settings(kind: Any, **fields: Any) -> Any:
    """A section of a recipe with what was chosen of it; raises InputError where that cannot be."""
    from pydantic import ValidationError

    from srl_edge.recipe.errors import first_sentence

    try:
        return kind.model_validate({k: v for k, v in fields.items() if v is not None})
    except ValidationError as error:
        raise InputError(first_sentence(kind, error)) from None


def _given(chosen: Namespace, asked: "Asked", export: "Export") -> "Subject":
    """The subject as it was asked for, before there is a folder to merge it in.

    Half of the texts are what weights are fitted to, and the gate asks the other half.
    """
    from srl_edge.data.texts import halves, worked_texts
    from srl_edge.exporters.subject import Subject
    from srl_edge.models.catalog import resolve
    from srl_edge.models.loading import limit_threads
    from srl_edge.models.tokenizer import tokenizer_beside
    from srl_edge.recipe import Bench, Check

    reply = min(_REPLY_TOKENS, export.context_length // 4 or 1)
    bench: Bench = _settings(Bench, threads=chosen.threads or 0, max_new_tokens=reply).as_long_as()
    limit_threads(bench.threads)
    texts = worked_texts(chosen.data, asked.form)
    texts = texts[:: -(-len(texts) // _ROWS)]
    base = resolve(chosen.model)
    if chosen.adapter:
        _tell_of_another_base(chosen.adapter, base, chosen.model)
    tokenizer = tokenizer_beside(base, chosen.adapter)
    room = export.context_length - reply
    fitted_to, questions = (
        [text for text in half if _prompt_tokens(text, asked, tokenizer) <= room]
        for half in halves(texts)
    )
    if not fitted_to or not questions:
        raise InputError(
            f"{chosen.data or 'the general texts'}: too few leave room for a reply of {reply} "
            f"tokens in a context of {export.context_length}; take a longer context, or shorter "
            "texts."
        )
    splits = {"train": fitted_to, "validation": fitted_to, "test": questions}
    return Subject(
        chosen.model,
        base,
        chosen.adapter,
        Path(),
        lambda split: splits[split],
        asked,
        export,
        Check(),
        bench,
    )


def _prompt_tokens(text: "Trajectory", asked: "Asked", tokenizer: Any) -> int:
    """The length of a text's longest prompt."""
    from srl_edge.method.prompts import prompt_ids, step_prompts, whole_prompts

    form = asked.form
    whole, steps = whole_prompts([text], form), step_prompts([text], "all", form=form)
    return len(prompt_ids(tokenizer, (whole if asked.whole else steps)[0][-1]))


def _tell_of_another_base(adapter: Path, base: Path, model: str) -> None:
    """Check that a folder is an adapter's, and tell of one that names another model.

    Names of the same model differ from place to place; what its weights fit is found by merging.
    """
    from srl_edge.exporters.converters import mlx_adapter
    from srl_edge.files import read_json, read_json_if_there
    from srl_edge.models.adapter_folder import FROZEN, require_safetensors
    from srl_edge.terminal import progress

    if not (adapter / mlx_adapter.FILE).is_file():
        require_safetensors(adapter)
    read_json_if_there(adapter / FROZEN, "Frozen")  # before anything is written
    said = read_json(adapter / "adapter_config.json", "Tuned")
    named = said.get("base_model_name_or_path") or said.get("model")  # PEFT's word, and mlx-lm's
    known = (base.name.lower(), Path(model).name.lower())
    if isinstance(named, str) and named and Path(named).name.lower() not in known:
        progress.say(f"{adapter}: was trained on {named}, as it says, and not on {model}.")


@contextmanager
def _in_scratch(subject: "Subject", beside: Path) -> Iterator["Subject"]:
    """The subject with a folder for its merged model, for a while, and its adapter as PEFT's."""
    from srl_edge.exporters.converters import mlx_adapter
    from srl_edge.files import scratch_folder

    with ExitStack() as opened:
        work = opened.enter_context(scratch_folder(beside, "work"))
        adapter = subject.adapter
        if adapter and (adapter / mlx_adapter.FILE).is_file():
            adapter = opened.enter_context(mlx_adapter.as_peft(adapter, work / "peft"))
        yield replace(subject, folder=work, adapter=adapter)
