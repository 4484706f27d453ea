"""What is to be measured, recognized by its files: ours, or a model or artifact of anybody's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from srl_edge import artifact as artifacts
from srl_edge.devices.bench import facts
from srl_edge.devices.bench.facts import NOT_TOLD
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.runtimes import genai_config
from srl_edge.devices.runtimes.chat import Asked, asked_of
from srl_edge.errors import InputError
from srl_edge.files import expanded, read_json, require_contained
from srl_edge.method.prompt_form import PRESETS
from srl_edge.models.catalog import resolve
from srl_edge.models.chat_template import NoTemplate, of_folder
from srl_edge.recipe import Bench
from srl_edge.report.results import safe

WHOLE = Asked(PRESETS["math"], whole=True)  # one reply, in the model's own way
LONGEST = 8192  # tokens of context that what others made is run with, if it can take more
_FILES = {".gguf": "gguf", ".pte": "executorch"}


def models_of(named: Sequence[str | Path], whole: bool, settings: Bench) -> list[Model]:
    """The models of paths, known names and hub ids, each with a name of its own.

    whole: all are asked for one reply, and not only those that have no manifest. settings: such a
    reply has own_way_tokens at most, unless max_new_tokens is set. Raises InputError, in one
    sentence, for what is none, or two.
    """
    most = settings.max_new_tokens or settings.own_way_tokens
    found: dict[str, Model] = {}
    models = [_recognized(str(what)) for what in named]
    places = [_place(model) for model in models]
    for model in models:
        if whole or model.kind != "artifact":
            asked = WHOLE if _has_template(model) else replace(WHOLE, plain=True)
            model = model._replace(asked=asked, max_new_tokens=most)
        elif asked_of(model.path).whole:
            model = model._replace(max_new_tokens=most)
        if places.count(_place(model)) > 1:
            model = model._replace(name=f"{_beside(model)}/{model.name}")
        if _place(model) in map(_place, found.values()):
            raise InputError(f"{model.path}: named twice, or as another's is ({model.name}).")
        found[model.name] = model._replace(told=_said(model))
    return list(found.values())


def _place(model: Model) -> str:
    """Its folder of results, as file systems see it for which upper and lower case are the same."""
    return safe(model.name).casefold()


def _beside(model: Model) -> str:
    """What tells it from another of the same name: an artifact's run, or the folder it is in."""
    home = model.path.resolve().parent
    return home.parent.name if home.name == "artifacts" else home.name


def _has_template(model: Model) -> bool:
    try:
        of_folder(model.tokenizer or model.path)
    except NoTemplate:
        return False
    return True


def _said(model: Model) -> dict[str, str]:
    """What is known of a model, and how it is asked; nothing where its manifest says that."""
    if model.asked is None:
        return {}
    plain = ", in plain text (no chat template)" if model.asked.plain else ""
    return dict(model.told) | {"asked": f"for one whole reply{plain}"}


def _recognized(what: str) -> Model:
    path = expanded(what)
    if path.is_file():
        return _of_file(path)
    if path.is_dir():
        return _of_folder(path, path.resolve().name)
    if path.suffix in (*_FILES, ".onnx", ".safetensors"):
        raise InputError(f"{what}: no such file.")
    return _of_folder(resolve(what), what)


def _of_file(file: Path) -> Model:
    match _FILES.get(file.suffix):
        case "gguf":
            return _gguf(file, file.stem)
        case "executorch":
            return _pte(file, file.stem)
    if file.suffix in (".onnx", ".safetensors"):
        raise InputError(f"{file}: name the folder that it is in, with its settings.")
    raise InputError(f"{file}: not a file that is known; *.gguf and *.pte are.")


def _of_folder(folder: Path, name: str) -> Model:
    if (folder / artifacts.MANIFEST).is_file():
        return _ours(folder)
    require_contained(folder, folder.glob("[!.]*"))
    files = [file for kind in _FILES for file in sorted(folder.glob(f"*{kind}"))]
    genai = (folder / genai_config.FILE).is_file()
    graphs = [] if genai else sorted(folder.glob("*.onnx"))
    weights = sorted(folder.glob("*.safetensors"))[:1]
    found = [*(file.name for file in (*files, *graphs, *weights)), *[genai_config.FILE][:genai]]
    if len(found) > 1:
        raise InputError(
            f"{folder}: holds {len(found)} models ({', '.join(found)}); name the file, or give "
            "each a folder of its own."
        )
    if files:
        return _gguf(files[0], name) if files[0].suffix == ".gguf" else _pte(files[0], name)
    if genai:
        return _genai(folder, name)
    if graphs:
        raise InputError(
            f"{graphs[0]}: no {genai_config.FILE} beside it; of ONNX, folders for "
            "onnxruntime-genai are run."
        )
    if (folder / "config.json").is_file():
        return _weights(resolve(str(folder)), name)
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder}: an adapter without its model; merge it first, or name a run's `merged`."
        )
    raise InputError(
        f"{folder}: nothing here is a model: no {artifacts.MANIFEST}, config.json with "
        f"*.safetensors, {genai_config.FILE}, *.gguf or *.pte.{artifacts.held_by(folder)}"
    )


def _ours(folder: Path) -> Model:
    artifact = artifacts.load(folder)
    if not artifact.runs:
        raise InputError(f"{folder}: built for a phone; nothing here can run it.")
    return Model(artifact.name, "artifact", folder, artifact.format)


def _weights(folder: Path, name: str) -> Model:
    config = read_json(folder / "config.json", "ModelConfig")
    length = config.get("max_position_embeddings")
    told = {
        "format": "safetensors, on PyTorch in fp32",
        "architecture": config["model_type"],
        "quantization": _quantization(config),
        "context": f"{length} tokens" if isinstance(length, int) else NOT_TOLD,
    }
    tokenizer = facts.tokenizer_of(folder)
    if not _is_mlx(folder, config):
        return Model(name, "torch", folder, "torch", tokenizer=tokenizer, told=told)
    told["format"] = "MLX"
    kind = f"mlx:{length if isinstance(length, int) else LONGEST}"
    return Model(name, kind, folder, "mlx", tokenizer=tokenizer, told=told)


def _is_mlx(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether mlx-lm wrote a folder: it marks its files, and its own quantization."""
    from safetensors import safe_open

    if isinstance(config.get("quantization"), dict):
        return True
    with safe_open(sorted(folder.glob("*.safetensors"))[0], "np") as weights:
        return bool((weights.metadata() or {}).get("format") == "mlx")


def _quantization(config: Mapping[str, Any]) -> str:
    said = config.get("quantization") or config.get("quantization_config")
    if isinstance(said, dict):
        bits, method = said.get("bits"), said.get("quant_method")
        return ", ".join([*([f"{bits} bits"] if bits else []), *([str(method)] if method else [])])
    kept = config.get("dtype") or config.get("torch_dtype")
    return f"none, weights in {kept}" if isinstance(kept, str) else NOT_TOLD


def _gguf(file: Path, name: str) -> Model:
    found, tokenizer = facts.of_gguf(file)
    # What it takes says nothing of llama.cpp then.
    format_ = "GGUF" if find_spec("llama_cpp") else "GGUF, its weights expanded, on PyTorch in fp32"
    told = {
        "format": format_,
        "architecture": found["architecture"],
        "quantization": found["quantization"],
        "context": _shown(found["context"]),
    }
    return Model(
        name,
        f"gguf:{_at_most(found['context'])}",
        file,
        "gguf",
        tokenizer=tokenizer,
        stops=tuple(found["stops"]),
        told=told,
    )


def _pte(file: Path, name: str) -> Model:
    folder = file.parent
    if not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"{file}: no tokenizer.json beside it, so it cannot be asked; put the model's there, "
            "and tokenizer_config.json, which has its chat template."
        )
    found = facts.of_pte(file)
    context = found["context"] or (found["most"] if found["most"] > 1 else None)
    if context is None:
        raise InputError(f"{file}: does not tell its context (get_max_context_len).")
    told = {"format": "ExecuTorch", "quantization": NOT_TOLD, "context": _shown(found["context"])}
    model = Model(
        name,
        f"executorch:{context}",
        file,
        "executorch",
        tokenizer=folder,
        stops=tuple(found["stops"]),
        told=told,
    )
    facts.require_vocabulary(folder, found["vocabulary"], file)
    return model


def _genai(folder: Path, name: str) -> Model:
    config = genai_config.read_config(folder)
    graph = folder / config["model"]["decoder"]["filename"]
    if not graph.is_file():
        raise InputError(f"{graph}: missing, though {genai_config.FILE} names it.")
    search = config.get("search")
    most = search.get("max_length") if isinstance(search, dict) else None
    lengths = (most, config["model"].get("context_length"))
    known = [length for length in lengths if isinstance(length, int)]
    context = min(known) if known else None
    ends = config["model"].get("eos_token_id")
    stops = [end for end in (ends if isinstance(ends, list) else [ends]) if isinstance(end, int)]
    told = {
        "format": "onnxruntime-genai",
        "architecture": str(config["model"].get("type")),
        "quantization": NOT_TOLD,
        "context": _shown(context),
    }
    return Model(
        name,
        f"onnx:{_at_most(context)}",
        folder,
        "onnx",
        tokenizer=facts.tokenizer_of(folder),
        stops=tuple(stops),
        told=told,
    )


def _at_most(context: Any) -> int:
    return min(context, LONGEST) if isinstance(context, int) and context > 0 else LONGEST


def _shown(context: Any) -> str:
    if not isinstance(context, int) or context < 1:
        return NOT_TOLD
    return f"{context} tokens" + (f", run with {LONGEST}" if context > LONGEST else "")
