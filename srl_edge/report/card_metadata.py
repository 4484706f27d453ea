"""The metadata of a card, as hubs read it: YAML that huggingface_hub writes."""

from collections.abc import Sequence
from typing import Any

from srl_edge.data.hub import read_name
from srl_edge.data.sources import GENERATED, is_hub, placeless
from srl_edge.recipe import Recipe
from srl_edge.report.rows import HELD_OUT, BenchResults

LIBRARIES = {  # by format, as the hub calls them
    "adapter": "peft",
    "executorch": "executorch",
    "mlx": "mlx",
    "gguf": "llama.cpp",
    "onnx": "onnxruntime-genai",
    "optimum": "optimum",
}
_RELATIONS = {"adapter": "adapter"}  # to the base model; every artifact is one of `quantized`


def datasets_of(recipe: Recipe) -> list[str]:
    """The hub's ids of the datasets that a run was trained on."""
    named = (recipe.data.source, *(stage.data for stage in recipe.stages))
    found = [read_name(name) for name in named if name and is_hub(name)]
    return list(dict.fromkeys(name.name for name in found if name.folder is None))


def metadata(
    recipe: Recipe,
    kinds: Sequence[str],
    name: str,
    base: str | None,
    licence: str | None,
    bench: BenchResults | None = None,
    row: str = "",
) -> str:
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
            task_type="text-generation",
            dataset_type=name.strip("/."),
            dataset_name=f"{placeless(source)}, {answers.problems} held-out problems",
            metric_type="accuracy",
            metric_value=round(answers.accuracy, 4),
            metric_name=f"problems solved; 95% interval {low:.3f} to {high:.3f}",
        )
    ]
