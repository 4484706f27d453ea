"""All settings of a run: read from TOML, overridden by flags, written beside the result."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import tomli_w
from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    NonNegativeFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from srl_edge.data.sources import rooted, rooted_part
from srl_edge.errors import InputError
from srl_edge.files import read_text
from srl_edge.method.actions import Kind as ActionKind
from srl_edge.method.answers.reading import Kind
from srl_edge.method.prompt_form import DONE, PRESETS, PromptForm
from srl_edge.models.chat_template import DATE
from srl_edge.quantization.formats import default_agreement, parse_name
from srl_edge.recipe.changes import merged
from srl_edge.recipe.data import Data
from srl_edge.recipe.errors import first_sentence
from srl_edge.recipe.flags import override
from srl_edge.recipe.section import Few, FewOrNone, Many, ManyOrNone, Section, file_name
from srl_edge.recipe.stage import Stage
from srl_edge.recipe.starters import found
from srl_edge.recipe.trainer import Trainer


class Model(Section):
    main = "name"
    name: Annotated[str, BeforeValidator(file_name)]
    """A known name (qwen2.5-coder-0.5b-instruct, …: README), a hub id, or a local folder."""


_RENDERED = {"messages", "add_generation_prompt", "strftime_now"}


def _holds_none(value: object) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(_holds_none, inner))


class Prompt(Section):
    preset: Literal["word-problems", "math", "general", "commands", "agent"] = "word-problems"
    """word-problems: a thought, then a step. math: plain, no format of ours. general: any task.
    commands: one a step, until one says done. agent: a thought, then an action in a world."""
    system: str | None = None
    """System message of a step's prompt; '' leaves the chat template's own."""
    step: str | None = None
    """What the user says to get the next step, with {problem} and {steps}."""
    whole_system: str | None = None
    """System message where the whole solution is asked for at once."""
    whole: str | None = None
    """What the user says to get the whole solution, with {problem}."""
    think: bool | None = None
    """Whether a reply begins with one <think> span."""
    answer: Annotated[str, Field(min_length=1)] | None = None
    """How the final answer is marked: `####`, `boxed`, `done` for all that comes before a step that
    says so, or a regular expression with one group."""
    verifier: str = "auto"
    """How answers compare: auto (by their kind), number, math, exact, choice, call, "file.py:f"."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] = DATE
    """The date that a chat template is told where it asks for today's, so that prompts stay."""
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """What else a chat template is told, by name: enable_thinking, tools, date_string, …"""
    action: ActionKind | None = None
    """How steps are read where they are actions: text, command (of a shell) or call."""
    context_pairs: ManyOrNone | None = None
    """How many of the last actions, with what came of them, a prompt holds (agent: 2)."""
    own_way: str = PRESETS["math"].whole
    """Plain prompt of the model's own way, with {problem}; base and tuned give it one reply."""

    @property
    def form(self) -> PromptForm:
        """The preset, with what is set here in place of its own."""
        changed = self.model_dump(exclude_none=True, exclude={"preset", "own_way"})
        return replace(PRESETS[self.preset], **changed)

    @property
    def own_form(self) -> PromptForm:
        """How a model answers that was taught no format: one reply, marked as it likes."""
        told = self.model_dump(include={"verifier", "date", "chat_template_kwargs"})
        if self.form.answer == DONE:
            told["answer"] = DONE
        return replace(PRESETS["math"], whole=self.own_way, **told)

    @model_validator(mode="after")
    def _asks_for_something(self) -> "Prompt":
        asked = {"step": self.form.step, "whole": self.form.whole, "own_way": self.own_way}
        for name, text in asked.items():
            if "{problem}" not in text:
                raise ValueError(f"{name} must hold {{problem}}, where the problem's text goes")
        if "{steps}" not in self.form.step:
            raise ValueError("step must hold {steps}, where the steps so far go")
        try:
            groups = re.compile(self.form.pattern).groups
        except re.error as error:
            raise ValueError(f"answer: not a regular expression ({error})") from None
        if self.form.pattern and groups != 1:
            raise ValueError(
                "answer: `####`, `boxed`, `done`, or a regular expression with one group"
            )
        for name in _RENDERED & set(self.chat_template_kwargs):
            raise ValueError(f"chat_template_kwargs.{name}: it is given already")
        if _holds_none(self.chat_template_kwargs):
            raise ValueError("chat_template_kwargs: leave out what has no value")
        known = ("auto", *get_args(Kind))
        if ":" not in self.verifier and self.verifier not in known:
            raise ValueError(
                f'verifier: choose from {", ".join(known)}, or your own as "file.py:function"'
            )
        return self


class Export(Section):
    artifacts: tuple[str, ...] = ("onnx-int8", "onnx-int4", "executorch-8da4w")
    """Artifacts to build, each <format>-<quantization>; onnx-auto is the smallest that agrees."""

    @field_validator("artifacts")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            parse_name(name)
        return names

    context_length: Many = 1024
    """Longest prompt and reply together, in tokens."""
    adapter: Literal["merged", "separate"] = "merged"
    """Into the weights, or as a file beside the base, which then takes any adapter."""
    merge_into: Literal["auto", "original", "dequantized"] = "auto"
    """After quantized training: the weights that the adapter goes into; auto: the nearer to it."""
    int8_layers: tuple[str, ...] = ()
    """Linear layers that fitted 4-bit artifacts keep in 8 bits, as patterns: `*.down_proj`."""


class Check(Section):
    prompts: Many = 16
    """Held-out prompts on which next tokens are compared."""
    greedy_tokens: Many = 32
    """Length of the greedy texts that are compared."""
    problems: ManyOrNone = 8
    """Held-out problems that both solve."""
    agreement: dict[str, float] = Field(default_factory=dict, validate_default=True)
    """Least share of equal next tokens, by quantization; what is not named keeps its default."""

    @field_validator("agreement")
    @classmethod
    def _with_defaults(cls, given: dict[str, float]) -> dict[str, float]:
        defaults = default_agreement()
        if unknown := given.keys() - defaults.keys():
            raise ValueError(f"{min(unknown)!r} is not known; choose from {', '.join(defaults)}")
        return defaults | given


class Bench(Section):
    problems: Many = 24
    """Held-out problems to solve."""
    own_way_problems: ManyOrNone = 16
    """Those that base and tuned also solve in the model's own way: one reply to its own prompt."""
    own_way_tokens: Many = 512
    """Longest reply in the model's own way."""
    max_steps: FewOrNone = 0
    """Steps that a solution may have; 0 is the most that a stage lets it have."""
    max_new_tokens: ManyOrNone = 0
    """Longest reply; 0 is the longest of the stages."""
    samples: Few = 1
    """Attempts at each problem; accuracy is their mean (avg@k)."""
    temperature: NonNegativeFloat = 0.0
    """Of attempts; 0 is greedy, so more than one sample needs more."""
    step_prompts: ManyOrNone = 24
    """Steps of expert solutions whose likeness to the model's is measured; 0 is none."""
    prompt_tokens: Many = 256
    """Length of the prompt whose prefill is timed."""
    decode_tokens: Many = 64
    """Tokens whose decoding is timed."""
    repeats: Few = 5
    """Timed repeats after one warm-up."""
    threads: ManyOrNone = 0
    """CPU threads; 0 takes every core."""
    timeout: Annotated[float, Field(gt=0, le=1e6)] = 300.0
    """Seconds after which a reply is given up and its runner started again."""

    @model_validator(mode="after")
    def _drawn(self) -> "Bench":
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples above 1 need a temperature above 0: greedy ones are alike")
        return self

    def as_long_as(self, stages: Sequence[Stage] = ()) -> "Bench":
        """Itself, with the stages' lengths, or a stage's defaults, where it names none."""
        lengths = {
            key: max(
                (getattr(stage, key) for stage in stages), default=Stage.model_fields[key].default
            )
            for key in ("max_steps", "max_new_tokens")
            if not getattr(self, key)
        }
        return self.model_copy(update=lengths)


class Recipe(Section):
    """All settings of a run; what cannot be raises InputError in one sentence."""

    output: Annotated[str, Field(min_length=1), BeforeValidator(file_name)]
    """Run folder."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """Of the splits, the adapter, the order of prompts and the draws of rollouts."""
    model: Model
    data: Data = Data()
    prompt: Prompt = Prompt()
    trainer: Trainer = Trainer()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    export: Export = Export()
    check: Check = Check()
    bench: Bench = Bench()

    if TYPE_CHECKING:  # what may be given; pydantic makes sections of it

        def __init__(
            self,
            *,
            output: str | os.PathLike[str],
            model: Model | Mapping[str, Any] | str,
            stages: Sequence[Stage | Mapping[str, Any]],
            seed: int = 0,
            data: Data | Mapping[str, Any] | str | os.PathLike[str] = ...,
            prompt: Prompt | Mapping[str, Any] = ...,
            trainer: Trainer | Mapping[str, Any] = ...,
            export: Export | Mapping[str, Any] = ...,
            check: Check | Mapping[str, Any] = ...,
            bench: Bench | Mapping[str, Any] = ...,
        ) -> None: ...

    @classmethod
    def load(cls, what: str | os.PathLike[str], **changes: Any) -> "Recipe":
        """The recipe of a TOML file, of a run folder, or one that ships, by its name, with changes.

        changes: as `changed` takes them. Raises InputError, in one sentence, for what is no recipe
        and for what a recipe cannot hold.
        """
        return load(found(what)).changed(**changes)

    def changed(self, **changes: Any) -> "Recipe":
        """A recipe with other settings: `export={"artifacts": [...]}`, `stages={0: {"steps": 9}}`.

        What is not named stays; a list gives all stages anew. Paths count from the current folder.
        Raises InputError, in one sentence, for what a recipe cannot hold.
        """
        return rooted_at(Recipe.model_validate(merged(self, changes)), Path())

    @model_validator(mode="after")
    def _thinks(self) -> "Recipe":
        own = any(stage.warm_up_thoughts == "own" for stage in self.stages)
        if own and not self.prompt.form.think:
            raise ValueError("warm_up_thoughts = 'own' needs a prompt with thoughts (prompt.think)")
        return self

    @model_validator(mode="wrap")  # the last one, so around the others
    @classmethod
    def _in_one_sentence(cls, given: Any, made: ModelWrapValidatorHandler["Recipe"]) -> "Recipe":
        try:
            return made(given)
        except ValidationError as error:
            raise InputError(first_sentence(cls, error)) from None

    @property
    def whole(self) -> bool:
        """Whether a reply is the whole solution, as the last stage trains it, and not a step."""
        return self.stages[-1].reply == "whole"

    @property
    def benchmark(self) -> Bench:
        """The section `bench`, with lengths of the stages where it names none."""
        return self.bench.as_long_as(self.stages)

    @property
    def code(self) -> tuple[str, ...]:
        """What of a recipe is code that training runs: rewards, the verifier, vLLM's command."""
        names = (*(name for stage in self.stages for name in stage.reward), self.prompt.verifier)
        parts = (name for name in names if ":" in name)
        files = tuple(dict.fromkeys(name.rpartition(":")[0] for name in parts))
        return (*files, *([self.trainer.vllm_command] if self.trainer.starts_vllm else []))

    @property
    def run(self) -> Path:
        """The run folder as a path."""
        return Path(self.output)


def load(path: Path, flags: Sequence[str] = ()) -> Recipe:
    """The recipe of a TOML file or of a run folder; `--section.key value` flags override it.

    Raises InputError in one sentence, with the nearest known key for an unknown one.
    """
    file = path / "recipe.toml" if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{path}: no such recipe; give a .toml file or a run folder, or begin with one that "
            "comes with srl-edge: `srl-edge init mine.toml`."
        )
    try:
        recipe = Recipe.model_validate(tomllib.loads(read_text(file)))
    except RecursionError:
        raise InputError(f"{file}: nested too deeply.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: not TOML: {error}.") from None
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    if path.is_dir():
        recipe = recipe.model_copy(update={"output": str(path)})
    recipe = rooted_at(recipe, file.parent)
    return rooted_at(override(recipe, flags, file), Path()) if flags else recipe


def rooted_at(recipe: Recipe, folder: Path) -> Recipe:
    """A recipe whose paths are absolute: they count from a folder, or where nothing is there, and
    something is in the current one, from that. `output` stays as it is.
    """

    def root_part(key: str) -> str:
        file, colon, function = key.rpartition(":")
        return rooted(file, folder) + colon + function if colon else key

    stages = tuple(
        stage.model_copy(
            update={
                "data": stage.data and rooted(stage.data, folder),
                "reward": {root_part(key): value for key, value in stage.reward.items()},
            }
        )
        for stage in recipe.stages
    )
    source = rooted(recipe.data.source, folder)
    parts = {"validation": recipe.data.validation, "test": recipe.data.test}
    held = {key: part and rooted_part(part, source, folder) for key, part in parts.items()}
    others = tuple(rooted(name, folder) for name in recipe.data.quality.evaluation)
    quality = recipe.data.quality.model_copy(update={"evaluation": others})
    data = recipe.data.model_copy(update={"source": source, "quality": quality, **held})
    prompt = recipe.prompt.model_copy(update={"verifier": root_part(recipe.prompt.verifier)})
    model = recipe.model.model_copy(update={"name": _rooted_model(recipe.model.name, folder)})
    return recipe.model_copy(
        update={"model": model, "data": data, "prompt": prompt, "stages": stages}
    )


def _rooted_model(name: str, folder: Path) -> str:
    """A local folder by its absolute path; what may be a known name or a hub id stays."""
    written_as_path = name.startswith(("./", "../"))
    return rooted(name, folder) if written_as_path or (folder / name).is_dir() else name


def dumps(recipe: Recipe) -> str:
    """The resolved recipe as TOML."""
    return tomli_w.dumps(recipe.model_dump(exclude_none=True, mode="json"))
