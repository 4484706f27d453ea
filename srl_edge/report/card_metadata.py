"""The metadata of a card, as hubs read it: YAML that huggingface_hub writes."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srl_edge.data.hub import read_name
from srl_edge.data.sources import GENERATED, is_hub, placeless
from srl_edge.errors import InputError
from srl_edge.files import read_text
from srl_edge.models.wheels import KNOWN
from srl_edge.recipe import Recipe
from srl_edge.report.rows import HELD_OUT, BenchResults

HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
LIBRARIES = {  # by format, as the hub calls them
    "adapter": "peft", "executorch": "executorch", "mlx": "mlx", "gguf": "llama.cpp",
    "onnx": "onnxruntime-genai", "optimum": "optimum",
}  # fmt: skip
_RELATIONS = {"adapter": "adapter"}  # to the base model; every artifact is one of `quantized`
_LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit", "Gemma Terms of Use": "gemma"}


def base_on_hub(recipe: Recipe) -> str | None:
    """The hub's id of a run's base model; None where only its folder is known."""
    name = recipe.model.name
    if name in KNOWN:
        return KNOWN[name].hub
    return name if HUB_ID.fullmatch(name) and not Path(name).expanduser().is_dir() else None


def licence_of(recipe: Recipe, base: Path | None) -> str | None:
    """The base model's licence by the hub's name for it; None where nothing here says it.

    base: its folder, whose README may have metadata of its own.
    """
    if recipe.model.name in KNOWN:
        return _LICENCES.get(KNOWN[recipe.model.name].licence)
    said = metadata_of(base / "README.md").get("license") if base else None
    return said if isinstance(said, str) and re.fullmatch(r"[\w.-]+", said) else None


def metadata_of(card: Path) -> Mapping[str, Any]:
    """The metadata of a card; none where there is no card, or what it has cannot be read."""
    from huggingface_hub import ModelCard

    if not card.is_file():
        return {}
    try:
        data: Any = ModelCard(read_text(card), ignore_metadata_errors=True).data
    except (InputError, ValueError, TypeError):
        return {}
    except Exception as error:  # the parser's own, of a package that is not asked for here
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        return {}
    found: Mapping[str, Any] = data.to_dict()
    return found


def datasets_of(recipe: Recipe) -> list[str]:
    """The hub's ids of the datasets that a run was trained on."""
    named = (recipe.data.source, *(stage.data for stage in recipe.stages))
    found = [read_name(name) for name in named if name and is_hub(name)]
    return list(dict.fromkeys(name.name for name in found if name.folder is None))


def metadata(
    recipe: Recipe, kinds: Sequence[str], name: str, base: str | None, licence: str | None,
    bench: BenchResults | None = None, row: str = "",
) -> str:  # fmt: skip
    """The YAML of a card, without the lines of dashes around it.

    kinds: formats, or adapter. name: the card's title. row: which of the benchmark's is its own.
    """
    from huggingface_hub import ModelCardData

    results = _results(recipe, bench, row)
    stages = dict.fromkeys(stage.kind for stage in recipe.stages)
    data = ModelCardData(
        base_model=base,
        base_model_relation=_RELATIONS.get(kinds[0], "quantized") if base else None,
        library_name=LIBRARIES[kinds[0]] if len(kinds) == 1 else None,
        pipeline_tag="text-generation",
        license=licence,
        language=["en"] if recipe.data.source in GENERATED else None,
        tags=["srl-edge", *stages, *dict.fromkeys(kinds)],
        datasets=datasets_of(recipe) or None,
        eval_results=results or None,
        model_name=name if results else None,
    )
    return data.to_yaml().strip()


def _results(recipe: Recipe, bench: BenchResults | None, row: str) -> list[Any]:
    """What a row of the benchmark measured, as results of the hub's kind."""
    from huggingface_hub import EvalResult

    found = bench.row(row) if bench else None
    if not (bench and found and HELD_OUT in found.tasks):
        return []
    answers, source = found.tasks[HELD_OUT], recipe.data.source
    name = read_name(source).name if is_hub(source) else placeless(source)
    low, high = answers.accuracy_interval
    return [
        EvalResult(
            task_type="text-generation", dataset_type=name.strip("/."),
            dataset_name=f"{placeless(source)}, {answers.problems} held-out problems",
            metric_type="accuracy", metric_value=round(answers.accuracy, 4),
            metric_name=f"problems solved; 95% interval {low:.3f} to {high:.3f}",
        )
    ]  # fmt: skip
