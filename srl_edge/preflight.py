"""What a run would find missing only after minutes, found before it begins."""

from collections.abc import Collection, Iterator
from importlib.util import find_spec
from typing import NamedTuple

from srl_edge.artifact import MANIFEST
from srl_edge.data.agents.sandbox import require_shell
from srl_edge.data.sources import GENERATED, is_hub
from srl_edge.errors import InputError
from srl_edge.files import cache_folder, expanded, free_bytes
from srl_edge.models.catalog import config_of
from srl_edge.models.chat_template import NoTemplate, of_folder
from srl_edge.models.shape import from_config
from srl_edge.models.wheels import KNOWN, cached
from srl_edge.quantization.formats import (
    ALL,
    converter,
    parse_name,
    require_builders,
    require_options,
    require_runtime,
    require_trainable,
)
from srl_edge.recipe import Recipe, Trainer
from srl_edge.run_folder import sources_of


class _Package(NamedTuple):
    """What a setting needs: a module, and what installs it."""

    setting: str
    module: str
    install: str


def require(recipe: Recipe, stages: Collection[str]) -> None:
    """Raise InputError for what these stages of a run will need and this computer has not.

    Nothing is loaded, and none of a recipe's code is run: packages, programs, files, room on disk.
    """
    for need in _packages(recipe, stages):
        if find_spec(need.module) is None:
            name = need.module.replace("_", "-")
            raise InputError(
                f"{need.setting} needs {name}, which is not installed: {need.install}."
            )
    if "data" in stages and recipe.data.source == "agent-shell":
        require_shell("data.source = 'agent-shell'")
    if "train" in stages:
        _require_files(recipe)
        _require_backend(recipe.trainer)
        _require_template(recipe.model.name)
    if "export" in stages:
        require_builders(recipe.export.artifacts)
        if any(name.startswith("gguf-") for name in recipe.export.artifacts):
            converter()
        export, trained = recipe.export, recipe.trainer.quantization
        require_options(export.artifacts, export.adapter, export.int8_layers, trained)
    if {"check", "bench"} & set(stages) and "export" not in stages:
        for manifest in sorted((recipe.run / "artifacts").glob(f"*/{MANIFEST}")):
            name = manifest.parent.name
            if name in recipe.export.artifacts and ALL[name].runs:
                require_runtime(parse_name(name)[0], manifest.parent)
    if {"train", "export"} & set(stages):
        _require_room(recipe, stages)


def _packages(recipe: Recipe, stages: Collection[str]) -> Iterator[_Package]:
    data, trainer = recipe.data, recipe.trainer
    if "data" in stages:
        if data.source == "gsm_symbolic":
            yield _Package(
                "data.source = 'gsm_symbolic'", "reasoning_gym", "pip install 'srl-edge[problems]'"
            )
        hubs = [
            ("data.source", data.source),
            ("data.validation", data.validation),
            ("data.test", data.test),
            *(("data.quality.evaluation", name) for name in data.quality.evaluation),
        ]
        for setting, name in hubs:
            if name and is_hub(name):
                yield _Package(f"{setting} = {name!r}", "datasets", "pip install 'srl-edge[data]'")
        if "near_duplicate" in data.quality.drop and data.source not in GENERATED:
            yield _Package(
                "data.quality: near_duplicate", "datasketch", "pip install 'srl-edge[data]'"
            )
    if "train" not in stages:
        return
    for number, stage in enumerate(recipe.stages):
        if stage.data and is_hub(stage.data):
            setting = f"stages.{number}.data = {stage.data!r}"
            yield _Package(setting, "datasets", "pip install 'srl-edge[data]'")
    if trainer.backend == "mlx":
        yield _Package("trainer.backend = 'mlx'", "mlx_lm", "pip install 'srl-edge[mlx]'")
    if trainer.quantization == "nf4":
        yield _Package(
            "trainer.quantization = 'nf4'", "bitsandbytes", "pip install 'srl-edge[qlora]'"
        )
    if trainer.optimizer != "adamw":
        yield _Package(
            f"trainer.optimizer = {trainer.optimizer!r}",
            "bitsandbytes",
            "pip install 'srl-edge[qlora]'",
        )
    if trainer.sampler == "onnx":
        for module in ("onnxruntime_genai", "onnx_ir"):
            yield _Package("trainer.sampler = 'onnx'", module, "pip install 'srl-edge[onnx]'")
    if trainer.tracker != "none":
        name = trainer.tracker
        yield _Package(f"trainer.tracker = {name!r}", name, f"pip install {name}")


def _require_files(recipe: Recipe) -> None:
    """Files that only training reads: a stage's own data, rewards and a verifier."""
    for key, path in sources_of(recipe).items():
        if key.startswith(("stages.", "prompt.")) and not path.exists():
            raise InputError(f"{key}: {path.absolute()} is not there.")


def _require_backend(trainer: Trainer) -> None:
    if trainer.backend != "auto" or trainer.device != "auto":
        require_trainable(trainer.quantization, "mlx" if trainer.backend == "mlx" else "torch")


def _require_template(name: str) -> None:
    """Of a model in a folder; of the hub's it is not known before it is fetched."""
    folder = expanded(name)
    if folder.is_dir():
        try:
            of_folder(folder)
        except NoTemplate as error:
            raise InputError(
                f"model {error} Put the chat_template.jinja of an instruction-tuned model of the "
                "same family into the folder."
            ) from None


def _require_room(recipe: Recipe, stages: Collection[str]) -> None:
    """Compare what is free where the run and the cache lie with what will be written there."""
    needed = {part: size for part, size in _sizes(recipe, stages).items() if size}
    free = free_bytes(recipe.run)
    if (total := sum(needed.values())) > free:
        listed = ", ".join(f"{part} {size / 1e9:.1f}" for part, size in needed.items())
        raise InputError(
            f"{recipe.run}: about {total / 1e9:.1f} GB are needed there ({listed}), and "
            f"{free / 1e9:.1f} GB are free; make room, or name a folder elsewhere (--output)."
        )
    if (name := recipe.model.name) in KNOWN and not cached(name).is_dir():
        size = 5 * from_config(config_of(name), name).parameters  # in fp32, beside the download
        if size > (free := free_bytes(cache_folder())):
            raise InputError(
                f"model {name}: about {size / 1e9:.1f} GB are needed in {cache_folder()}, and "
                f"{free / 1e9:.1f} GB are free; make room, or name a folder elsewhere "
                "(SRL_EDGE_CACHE)."
            )


def _sizes(recipe: Recipe, stages: Collection[str]) -> dict[str, int]:
    """Bytes that stages write into the run folder, by what it is; nothing of unknown families.

    A lower bound: what an export builds beside the largest artifact, for a while, is as large as
    the merged model.
    """
    try:
        shape = from_config(config_of(recipe.model.name), recipe.model.name)
    except InputError:
        return {}
    found = dict[str, int]()
    whole, adapter = 4 * shape.parameters, 4 * shape.adapter_parameters(recipe.trainer.lora_rank)
    if "train" in stages and not (recipe.run / "adapter").is_dir():
        kept = recipe.trainer.keep_last + 2  # and the one that is being written
        found["training"] = adapter * (3 * kept + len(recipe.stages) + 2)
    if "export" in stages:
        if not (recipe.run / "merged").is_dir():
            found["the merged model"] = whole
        names = [
            name
            for name in recipe.export.artifacts
            if not (recipe.run / "artifacts" / name).is_dir()
        ]
        found["artifacts"] = sum(_artifact_size(name, shape.parameters) for name in names)
        found["building them"] = whole if names else 0
    return found


def _artifact_size(name: str, parameters: int) -> int:
    bits = ALL[name].bits or 8  # where the export chooses, it is below 16
    return parameters * bits // 8
