"""Does a recipe fit in memory? Its peak by term, and what to change where it does not."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from srl_edge.data import trajectories
from srl_edge.data.reading import read_source
from srl_edge.errors import InputError
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.prompts import step_prompts, warm_up_reply, whole_prompts
from srl_edge.models.shape import ModelShape
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.recipe import Data, Recipe, Stage, Trainer
from srl_edge.trainers.memory.predict import Machine, Prediction, Work, predict

PROMPT_TOKENS = 256  # assumed before there is data
CHARACTERS_A_TOKEN, TURN_TOKENS = 2.75, 16  # dense in digits, and the chat's frame: many tokens
UNITS = {"GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20}
# What is halved or turned on, in this order, and where it ends.
LADDER = (
    ("trainer.micro_batch_tokens", 128),
    ("trainer.gradient_checkpointing", True),
    ("trainer.sampling_weights", "adapter"),
    ("trainer.quantization", "nf4"),
    ("stages.{}.prompts_per_step", 1),
    ("stages.{}.group_size", 4),
    ("stages.{}.max_new_tokens", 32),
    ("trainer.validation_prompts", 4),
    ("trainer.validation_problems", 1),
)

Changes = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of the longest prompt and reply, most prompts of one trajectory, and who says so."""

    prompt: int
    reply: int
    together: int
    said: str


@dataclass(frozen=True, slots=True)
class Fit:
    """A recipe's predictions, one a stage, against a device's bytes of memory.

    prompts: the lengths that each stage was given, in words.
    changes: settings with which it would fit; None where nothing of what can be halved is enough.
    """

    device: str
    memory: int
    stages: tuple[Prediction, ...]
    prompts: tuple[str, ...]
    changes: Changes | None

    @property
    def peak(self) -> int:
        """Bytes of the largest stage."""
        return max(stage.peak for stage in self.stages)


def fit(
    recipe: Recipe,
    shape: ModelShape,
    memory: int,
    device: str,
    size: int,
    prompt_tokens: int | None = None,
) -> Fit:
    """Predict every stage of a recipe, and where one does not fit, what to change.

    size: bytes of a frozen weight. prompt_tokens: of the longest prompt; without it, what the run's
    data has, else PROMPT_TOKENS. Changes are tried in the order of LADDER; then each, from the
    last on, is taken back as far as it may be.
    """

    def predictions(changes: Changes) -> tuple[Prediction, ...]:
        changed = _with(recipe, changes)
        kind, merged = changed.trainer.quantization, changed.trainer.samples_merged
        onnx = merged and kind not in AS_SHIPPED and device == "cpu" and size == 4 and runs_onnx()
        how = Machine(device, 4 if kind in AS_SHIPPED else size, kind, merged, onnx)
        return tuple(
            predict(shape, work_of(stage, changed.trainer, lengths), how)
            for stage, lengths in zip(changed.stages, measured, strict=True)
        )

    def fits(changes: Changes) -> bool:
        return all(stage.peak <= memory for stage in predictions(changes))

    measured = [
        lengths_of(stage, recipe.run, prompt_tokens, recipe.prompt.form, recipe.data)
        for stage in recipe.stages
    ]
    changes = {} if fits({}) else _proposal(recipe, fits)
    return Fit(device, memory, predictions({}), tuple(x.said for x in measured), changes)


def runs_onnx() -> bool:
    """Whether ONNX Runtime is installed, so that it runs the steps of decoding in fp32 on a CPU."""
    return all(find_spec(package) for package in ("onnx", "onnxruntime"))


def work_of(stage: Stage, settings: Trainer, lengths: Lengths) -> Work:
    """A stage's optimizer step, at the lengths of its prompts and replies."""
    drafts = {(settings.validation_prompts, 1), (settings.validation_problems, 1)}
    if stage.kind == "rlvr" and stage.reply == "step":
        # After the first step every rollout has a prompt of its own.
        drafts.add((stage.prompts_per_step * stage.group_size, 1))
        sharing = stage.max_steps
    else:
        sharing = min(lengths.together, stage.prompts_per_step)
    return Work(
        stage.prompts_per_step,
        sharing,
        lengths.prompt,
        1 if stage.kind == "sft" else stage.group_size,
        lengths.reply if stage.kind == "sft" else stage.max_new_tokens,
        settings.micro_batch_tokens,
        settings.lora_rank,
        stage.kl > 0,
        settings.gradient_checkpointing,
        stage.kind != "sft",
        tuple(sorted(drafts - {(0, 1)})),
    )


def lengths_of(
    stage: Stage,
    run: Path,
    given: int | None,
    form: PromptForm = DEFAULT,
    data: Data | None = None,
) -> Lengths:
    """What a stage's prompts and expert replies measure, by its data where there is some."""
    file = Path(stage.data) if stage.data else run / "data" / "train.jsonl"
    whole = stage.reply == "whole"
    if given or not file.is_file():
        said = f"{given or PROMPT_TOKENS} tokens, " + ("as told" if given else "assumed")
        together = 1 if whole else stage.prompts_per_step
        return Lengths(given or PROMPT_TOKENS, stage.max_new_tokens, together, said)
    if stage.data:
        report = trajectories.ParseReport()
        split = read_source(stage.data, data or Data(), report, form)
    else:
        split = trajectories.load(file)
    targets = "all" if stage.kind == "rlvr" else stage.targets
    groups = (
        whole_prompts(split, form)
        if whole
        else step_prompts(split, targets, stage.title_hint, form)
    )
    prompts = [p for group in groups for p in group]
    if not prompts:
        raise InputError(
            f"{file}: no prompts for a {stage.kind} stage; its trajectories are short."
        )
    longest = max(sum(len(m["content"]) for m in p.messages) for p in prompts)
    tokens = ceil(longest / CHARACTERS_A_TOKEN) + TURN_TOKENS
    reply = stage.max_new_tokens
    if stage.kind == "sft":  # an expert's reply is not cut
        reply = ceil(max(len(warm_up_reply(p)) for p in prompts) / CHARACTERS_A_TOKEN)
    said = f"at most about {tokens} tokens, by the characters of {file}"
    return Lengths(tokens, reply, max(map(len, groups)), said)


def read_memory(text: str) -> int:
    """Bytes of `8GB`, `7.5 GiB` or `900MB`; raises InputError in one sentence."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([GM]i?B)", text.strip(), re.IGNORECASE)
    if not match:
        raise InputError(f"--memory: {text!r} is not an amount; give one like 8GB or 7500MB.")
    return int(float(match[1]) * UNITS[match[2].upper()])


def device_of(settings: Trainer) -> str:
    """`cuda` or `cpu`, where a recipe computes; raises InputError for MLX and MPS."""
    import torch

    if settings.backend == "mlx":
        raise InputError(
            "fit: nothing is predicted for trainer.backend = 'mlx'; --device cpu predicts "
            "for PyTorch on a CPU."
        )
    if settings.device == "mps":
        raise InputError(
            "fit: nothing is predicted for trainer.device = 'mps'; --device cpu predicts for a CPU."
        )
    if settings.device != "auto":
        return settings.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def memory_here(device: str) -> int:
    """Bytes that this machine's `cuda` or `cpu` has in all; raises InputError without one."""
    import psutil
    import torch

    if device == "cpu":
        return int(psutil.virtual_memory().total)
    if not torch.cuda.is_available():
        raise InputError("fit: there is no NVIDIA GPU here; say how much one has: --memory 8GB.")
    return int(torch.cuda.get_device_properties(0).total_memory)


def weight_bytes(dtype: str, device: str) -> int:
    """Bytes of a frozen weight under a recipe's `trainer.dtype`."""
    if dtype != "auto":
        return 4 if dtype == "float32" else 2
    if device == "cuda":
        return 2
    import torch

    from srl_edge.trainers.torch_backend.device import native_dtype

    return native_dtype("auto", torch.device(device)).itemsize


def show(found: Fit, recipe: Recipe, command: str) -> None:
    """Print the largest stage's terms, the verdict, and a command line that fits."""
    at = max(range(len(found.stages)), key=lambda i: found.stages[i].peak)
    phases = found.stages[at].sampling, found.stages[at].training
    title = f"{recipe.model.name}, stage {at + 1} ({recipe.stages[at].kind}): peak memory in MB"
    table = Table("term", title=title, show_footer=True)
    table.columns[0].footer = "total"
    for name, phase in zip(("sampling", "training"), phases, strict=True):
        table.add_column(name, f"{sum(phase.values()) / 1e6:,.0f}", justify="right")
    for term in sorted(
        dict.fromkeys([*phases[0], *phases[1]]), key=lambda t: -max(p.get(t, 0) for p in phases)
    ):
        table.add_row(term, *(f"{p[term] / 1e6:,.0f}" if p.get(term) else "" for p in phases))
    Console().print(table)
    print(f"Prompts: {found.prompts[at]}.")
    if recipe.trainer.sampler != "torch":
        print(f"What trainer.sampler = '{recipe.trainer.sampler}' takes is not counted.")
    if found.device == "cuda":
        print("No GPU has confirmed such a prediction yet; leave a tenth free.")
    verdict = "it fits" if found.changes == {} else "it does not fit"
    print(f"Peak {found.peak / 1e9:.2f} GB of {found.memory / 1e9:.2f} GB: {verdict}.")
    if found.changes:
        flags = " ".join(
            f"--{key}" if value is True else f"--{key} {value}"
            for key, value in found.changes.items()
        )
        print(f"It would fit with:\n  {command} {flags}")


def _proposal(recipe: Recipe, fits: Callable[[Changes], bool]) -> Changes | None:
    values = recipe.model_dump(mode="json")
    choices: dict[str, list[int | str]] = {}
    for setting, least in LADDER:
        for key in dict.fromkeys(setting.format(i) for i in range(len(recipe.stages))):
            now = _at(values, key)
            halved = type(least) is int
            choices[key] = [*_halvings(now, int(least))] if halved else [now, least]
    changes: dict[str, int | str] = {}
    for key, smaller in choices.items():
        for value in smaller[1:]:
            if not fits(changes):
                changes[key] = value
    if not fits(changes):
        return None
    # From the last on, as the first cost time alone: each as large as it may be.
    for key in reversed(list(changes)):
        found = next(v for v in choices[key] if fits(changes | {key: v}))
        changes[key] = found
        if found == choices[key][0]:
            del changes[key]
    return changes


def _halvings(value: int, least: int) -> Iterator[int]:
    """A value, its half and so on, down to the least."""
    yield value
    while value > least:
        value = max(least, value // 2)
        yield value


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[int(part) if part.isdecimal() else part]
    return values


def _with(recipe: Recipe, changes: Changes) -> Recipe:
    values = recipe.model_dump(mode="json")
    for key, value in changes.items():
        owner, _, name = key.rpartition(".")
        _at(values, owner)[name] = value
    return Recipe.model_validate(values)
