"""What the JSON files that srl-edge reads look like: one class a file, for pydantic to check.

Further keys are let through. Devices that are sent an artifact have neither pydantic nor a need of
it: what they read was checked before it was sent.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BeforeValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from srl_edge.quantization.formats import Backend, Trainable

Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Ids = int | list[int] | None


class File(TypedDict):
    bytes: Count
    sha256: str


class Prompt(TypedDict):
    """How a model was trained to be asked (`method.prompt_form`)."""

    system: str
    step: str
    whole_system: str
    whole: str
    think: bool
    answer: str
    verifier: NotRequired[Literal["auto", "number", "math", "exact", "choice", "call"]]
    date: NotRequired[Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]]
    chat_template_kwargs: NotRequired[dict[str, Any]]
    reply: NotRequired[Literal["step", "whole"]]


class Asked(TypedDict):
    """What of a manifest says how to ask."""

    prompt: NotRequired[Prompt | None]


class Manifest(TypedDict):
    """`manifest.json` of an artifact."""

    format: str
    quantization: str
    files: dict[str, File]
    context_length: Annotated[int, Field(ge=1, le=1 << 24)]
    base: NotRequired[dict[str, str]]
    adapter: NotRequired[Literal["merged", "separate"] | None]  # None: the model alone
    adapter_rank: NotRequired[Size | None]
    adapter_sha256: NotRequired[str | None]
    merge: NotRequired["Choice | None"]
    prompt: NotRequired[Prompt | None]
    options: NotRequired[dict[str, Any]]


class Tuned(TypedDict):
    """`adapter_config.json` of any kind that PEFT knows."""

    peft_type: NotRequired[str | None]


class Adapter(TypedDict):
    """`adapter_config.json` of a PEFT folder."""

    r: Size
    lora_alpha: Finite
    rank_pattern: NotRequired[dict[str, Size] | None]
    alpha_pattern: NotRequired[dict[str, Finite] | None]
    use_rslora: NotRequired[bool | None]
    target_modules: NotRequired[str | list[str] | None]
    base_model_name_or_path: NotRequired[str | None]


class LoraParameters(TypedDict):
    rank: Size
    scale: Finite
    alpha: NotRequired[Finite | None]  # of early versions


class MlxAdapter(TypedDict):
    """`adapter_config.json` of mlx-lm."""

    fine_tune_type: NotRequired[str]
    lora_parameters: NotRequired[LoraParameters]


class ModelConfig(TypedDict):
    """`config.json` of a model."""

    model_type: str
    eos_token_id: NotRequired[Ids]


class Generation(TypedDict):
    """`generation_config.json` of a model."""

    eos_token_id: NotRequired[Ids]


class Index(TypedDict):
    """`*.safetensors.index.json`: which file has which weights."""

    weight_map: dict[str, str]


class NamedTemplate(TypedDict):
    name: str
    template: str


class Tokenizer(TypedDict):
    """`tokenizer_config.json` of a model."""

    chat_template: NotRequired[str | list[NamedTemplate] | None]
    fast_tokenizer_files: NotRequired[list[str] | None]


class Cursor(TypedDict):
    stage: Count
    step: Count
    prompts: Count
    best: float
    worse: Count


class TrainerState(TypedDict):
    """`trainer_state.json` of a checkpoint."""

    cursor: Cursor
    log_bytes: dict[str, Count]
    settings: dict[str, Any]
    files: NotRequired[list[str]]


Json = Any  # checked by its reader
Stages = dict[str, dict[str, Any]]  # `stages.json` of a run
Counts = dict[str, Count]  # how often problems were solved, by their hash
Texts = dict[str, str]


class Frozen(TypedDict):
    """`frozen_weights.json` of an adapter."""

    backend: Backend
    quantization: Trainable
    dtype: Literal["float32", "float16", "bfloat16"]


class Choice(TypedDict):
    """`merge.json` of a merged model."""

    into: Literal["original", "dequantized"]


class Marker(TypedDict):
    """What srl-edge notes in its folders of the files that it wrote."""

    files: dict[str, list[str]]
    purpose: NotRequired[str]
    seen: NotRequired[dict[str, list[int]]]


class Holder(TypedDict):
    """Who works on a run."""

    process: int
    since: str


class BenchSettings(TypedDict):
    """`settings.json` of a benchmark."""

    date: str


class Point(TypedDict):
    minutes: float
    tokens_per_second: float
    celsius: float | None
    battery: float | None


Soak = dict[str, list[Point]]  # `soak.json` of a benchmark


class BenchSample(TypedDict):
    """A row of a benchmark's samples."""

    doc_id: Count
    exact_match: float
    marked: float
    seconds: float | None
    joules: float | None
    lost: str
    replies: list[int]
    resps: list[list[str]]
    majority: NotRequired[float]
    batched: NotRequired[bool]


class StepSample(TypedDict):
    """A row of a benchmark's steps."""

    id: str
    step: Count
    lost: str
    similarity: NotRequired[float]
    equal: NotRequired[bool]
    fault: NotRequired[str]


class Place(TypedDict):
    """Where in training a row was written."""

    stage: Count
    kind: Literal["sft", "srl", "rlvr"]
    step: Count


def _has_place(row: dict[str, Any]) -> dict[str, Any]:
    adapter("Place").validate_python(row, strict=True)
    return row


# A row of `train/metrics.jsonl`: its place, and figures.
Metrics = Annotated[dict[str, float | str], BeforeValidator(_has_place)]


class RolloutRow(Place):
    """A row of `train/rollouts.jsonl`."""

    trajectory_id: str
    step_index: Count
    rollout: Count
    problem: str
    previous_steps: list[str]
    observations: NotRequired[list[str]]
    expert_action: str
    completion: str
    finished: bool
    reward: float
    parts: dict[str, float]
    fault: str


class ScaleJob(TypedDict):
    """What a job for an engine of many machines was made from."""

    model: str
    adapter: str | None
    stop_ids: list[Count]


class GrpoSettings(TypedDict):
    """TRL's own words for a stage; it judges the rest of them."""

    num_generations: Size


class GrpoStart(TypedDict):
    """By what settings a job of TRL was started."""

    grpo: GrpoSettings
    arguments: list[str]


class GeneratedRow(TypedDict):
    """A row that `data generate` wrote."""

    id: str
    problem: str
    steps: list[str]
    model: str


class Recorded(TypedDict):
    """A row that `data record` wrote."""

    problem: str
    world: dict[str, Any]
    steps: list[str]


class Ungenerated(TypedDict):
    """What it asked for in vain; `again` where no reply came. task: tells tasks of one id apart."""

    id: str
    model: NotRequired[str]
    task: NotRequired[str]
    why: str
    again: NotRequired[bool]


class Split(TypedDict):
    problems: Count
    steps: Count


class DataReport(TypedDict):
    """`report.json` of the data stage."""

    read: Count
    kept: Count
    dropped: dict[str, Count]
    splits: dict[str, Split]
    source: str


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # and other amounts


class DeviceState(TypedDict):
    """What may change on a device while figures are taken; None where it does not tell."""

    load: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    celsius: Annotated[float, Field(allow_inf_nan=False)] | None
    battery: Annotated[float, Field(allow_inf_nan=False)] | None
    governor: str | None


class Loaded(TypedDict):
    """A runner's first line."""

    load_seconds: Seconds
    batch: Size
    machine: dict[str, Any]
    state: DeviceState


class Reply(TypedDict):
    ids: list[Annotated[int, Field(ge=0, lt=1 << 31)]]
    first_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    seconds: Seconds


class Answered(TypedDict):
    """A runner's answer to a question."""

    replies: list[Reply]
    peak_memory_mib: Seconds | None
    state: DeviceState
    energy_joules: Annotated[float, Field(ge=0, lt=1e12, allow_inf_nan=False)] | None


_ADAPTERS: dict[str, TypeAdapter[Any]] = {}


def adapter(name: str) -> TypeAdapter[Any]:
    """pydantic's reader of the class of that name here."""
    if name not in _ADAPTERS:
        _ADAPTERS[name] = TypeAdapter(globals()[name], config=None)
    return _ADAPTERS[name]


def first_key(name: str) -> str:
    """The key that a row of the class of that name begins with."""
    return str(next(iter(globals()[name].__annotations__)))
