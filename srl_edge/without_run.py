"""`srl-edge export` and `srl-edge check` of a model of one's own, with an adapter or none: no run.

Both make a `Subject` of what they are given, for the same code that a run's stages call.
"""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srl_edge.errors import InputError, UnmeasuredError
from srl_edge.method.prompt_form import PRESETS

if TYPE_CHECKING:
    from srl_edge.devices.runtimes.chat import Asked
    from srl_edge.exporters.subject import Subject
    from srl_edge.method.types import Trajectory
    from srl_edge.recipe import Export

_REPLY_TOKENS = 256  # of a problem's solution at most, and a quarter of the context at most
_ROWS = 400  # of a file at most, from all over it: more of them are not asked anyway
_USAGE = {
    "export": "srl-edge export RUN_OR_RECIPE [--section.key value ...] [--via optimum]\n"
    "       srl-edge export --model M [--adapter A] --out DIR [options]",
    "check": "srl-edge check RUN_OR_RECIPE [--section.key value ...]\n"
    "       srl-edge check ARTIFACT [ARTIFACT ...] --model M [--adapter A] [options]",
}
_SAID = {
    "export": "Of a run: the adapter that it trained, merged, as the recipe's artifacts.\n"
    "Without a run: any model, with an adapter of any tool merged, or as it is.",
    "check": "Does each artifact answer as the model that it was made of? Of a run, or of a model\n"
    "and adapter that you name. Exit code 3 where one does not, 4 where one could not be measured.",
}


def asked_for(arguments: Sequence[str]) -> bool:
    """Whether arguments of `export` or `check` name a model or artifacts, or want help: no run."""
    if not arguments:
        return False
    named = any(each == "--model" or each.startswith("--model=") for each in arguments)
    artifact = (Path(arguments[0]) / "manifest.json").is_file()
    return named or artifact or arguments[0].startswith("-")


def command(verb: str, arguments: Sequence[str]) -> None:
    """Run one of the two commands; prints what it wrote, or found."""
    chosen = _parser(verb).parse_args(arguments)
    for name in ("adapter", "data", "out"):
        if path := getattr(chosen, name):
            setattr(chosen, name, path.expanduser())
    if chosen.adapter and not chosen.adapter.is_dir():
        raise InputError(
            f"{chosen.adapter}: no such folder; --adapter takes one of PEFT or of mlx-lm."
        )
    if verb == "export":
        print(_export(chosen))
    else:
        _check(chosen)


def _parser(verb: str) -> ArgumentParser:
    parser = ArgumentParser(
        f"srl-edge {verb}", _USAGE[verb], _SAID[verb], allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
    )  # fmt: skip
    if verb == "check":
        parser.add_argument("artifact", nargs="+", type=Path, help="folders with a manifest.json")
    parser.add_argument("--model", required=True, metavar="M", help="known name, hub id or folder")
    parser.add_argument("--adapter", type=Path, metavar="A",
                        help="folder of PEFT or mlx-lm; without: the model as it is")  # fmt: skip
    parser.add_argument("--data", type=Path, metavar="FILE",
                        help="JSONL of worked problems, in place of general ones")  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; 0: all")
    if verb == "check":
        parser.add_argument("--out", type=Path, metavar="DIR", help="a file of figures for each")
        return parser
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="gets one folder for each artifact")  # fmt: skip
    parser.add_argument("--artifacts", nargs="+", metavar="NAME",
                        help="onnx-int4 and so on; without it, those of recipes")  # fmt: skip
    parser.add_argument("--context-length", type=int, metavar="N", help="tokens (1024)")
    parser.add_argument("--int8-layers", nargs="+", metavar="PATTERN",
                        help="linear layers that 4-bit artifacts keep in 8 bits")  # fmt: skip
    parser.add_argument("--prompt-preset", choices=list(PRESETS), default="math",
                        help="math (the default): one reply, in the model's own way; the "
                        "others: step by step, as srl-edge trains")  # fmt: skip
    return parser


def _export(chosen: Namespace) -> Path:
    from srl_edge import owned
    from srl_edge.devices.runtimes.chat import Asked
    from srl_edge.exporters.export import write_artifacts
    from srl_edge.models.catalog import config_of
    from srl_edge.models.routes import require_exportable
    from srl_edge.quantization.formats import require_builders
    from srl_edge.recipe import Export
    from srl_edge.run_lock import STAGE, held

    settings: Export = _settings(
        Export, artifacts=chosen.artifacts, context_length=chosen.context_length,
        int8_layers=chosen.int8_layers,
    )  # fmt: skip
    require_builders(settings.artifacts)
    config, name = config_of(chosen.model), chosen.model
    require_exportable(config, settings.artifacts, settings.context_length, name)
    asked = Asked(PRESETS[chosen.prompt_preset], whole=chosen.prompt_preset == "math")
    given = _given(chosen, asked, settings)
    out = owned.claim(chosen.out, "exports")
    with held(out, STAGE), _in_scratch(given, out) as subject:
        return write_artifacts(subject, out)


def _check(chosen: Namespace) -> None:
    from srl_edge import artifact as artifacts
    from srl_edge import owned
    from srl_edge.devices.runtimes.chat import asked_of
    from srl_edge.exporters.check import gate
    from srl_edge.exporters.merging.trained_weights import merge_trained
    from srl_edge.exporters.parity.faults import in_words
    from srl_edge.recipe import Export

    found = [artifacts.load(folder) for folder in chosen.artifact]
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
    length = min(each.manifest["context_length"] for each in found)
    into = (first.manifest.get("merge") or {}).get("into", "auto")
    given = _given(chosen, asked, Export(context_length=length, merge_into=into))
    with _in_scratch(given, chosen.out or first.path.resolve().parent) as subject:
        for each in found:
            artifacts.require_made_of(each, subject.base, subject.adapter)
        folder = owned.claim(chosen.out, "parity") if chosen.out else None
        merge_trained(subject)
        gate(subject, here, folder, lambda result: print(in_words(result)), unmeasured)


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
    bench: Bench = _settings(Bench, threads=chosen.threads, max_new_tokens=reply)
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
        chosen.model, base, chosen.adapter, Path(), lambda split: splits[split], asked, export,
        Check(), bench,
    )  # fmt: skip


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
    from srl_edge.files import read_json
    from srl_edge.models.adapter_folder import require_safetensors
    from srl_edge.terminal import progress

    if not (adapter / mlx_adapter.FILE).is_file():
        require_safetensors(adapter)
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

    with scratch_folder(beside, "work") as work:
        adapter = subject.adapter
        if adapter and (adapter / mlx_adapter.FILE).is_file():
            adapter = mlx_adapter.to_peft(adapter, work / "peft")
        yield replace(subject, folder=work, adapter=adapter)
