"""What a benchmark found, as it travels from the measuring to the page and to the disk."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from srl_edge import owned
from srl_edge.errors import InputError
from srl_edge.files import read_json, replace
from srl_edge.method.solving import Attempt

FILE = "results.json"
# Tasks of a run's benchmark: its held-out problems, asked as the run asks, and in the model's own
# way.
BASE, TUNED = "torch base", "torch tuned"
IN_OWN_WAY = "in its own way"  # how the base was asked
AFTER = "torch after "  # begins the name of what a stage before the last had learned
HELD_OUT, OWN_WAY = "held-out", "own-way"


@dataclass(frozen=True, slots=True)
class Sample:
    """A problem's attempts; `correct` and `marked` are shares, seconds and joules of one attempt.

    lost: why there are none, where the runner was lost. harness: whether lm-eval's filters can read
    the replies, which are whole solutions whose answer is a number. majority: whether most attempts
    give the right answer. batched: replies were made together with those to other prompts.
    """

    attempts: Sequence[Attempt]
    correct: float
    marked: float
    seconds: float | None
    joules: float | None
    lost: str = ""
    harness: bool = False
    majority: float = 0.0
    batched: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """What of a sample the figures are made from; characters are its replies', all together.

    strict, flexible: shares of attempts that lm-eval's filters find right, None where not asked.
    cut_off: the share of attempts that the length limit ended.
    """

    correct: float
    marked: float
    seconds: float | None
    joules: float | None
    lost: str
    replies: int
    characters: int
    attempts: int = 1
    majority: float = 0.0
    strict: float | None = None
    flexible: float | None = None
    batched: bool = False
    cut_off: float = 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeats of one measurement; percentiles are nearest-rank."""

    mean: float
    std: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class StepSimilarity:
    """Greedy next steps beside the expert's; `format` is the share that keeps it.

    equal: the share that are the expert's, as `actions.same` compares them.
    """

    steps: int
    lost: int
    similarity: float
    interval: tuple[float, float]
    format: float
    equal: float | None = None


@dataclass(frozen=True, slots=True)
class Batching:
    """What replying to several prompts at once took and changed.

    seconds: of a problem, its share of the batch. compared: problems that were asked alone as well;
    differing: those of them whose replies are others then.
    """

    seconds: float
    compared: int
    differing: int


@dataclass(frozen=True, slots=True)
class Answers:
    """How a model did at a task: shares of right answers, and what they took.

    marked: the share that is right and marked as the answer; without a mark the last number counts.
    reply_characters: the mean length of a reply. seconds_per_problem, joules_per_correct: one
    problem at a time. strict, flexible: shares that lm-eval's filters find right, of whole replies.
    pass_at: by k, of several attempts; majority: of all of them. cut_off: the share of attempts
    that the length limit ended.
    """

    problems: int
    lost: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    marked: float
    seconds_per_problem: float | None
    joules_per_correct: float | None
    reply_characters: float | None
    step_similarity: StepSimilarity | None = None
    strict: float | None = None
    flexible: float | None = None
    pass_at: dict[int, float] = field(default_factory=dict)
    majority: float | None = None
    batching: Batching | None = None
    cut_off: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model on the device: sizes in MB, memory in MiB, None for what was not measured.

    told: what is known of a model that has no manifest of ours, as sentences may name it.
    """

    name: str
    backend: str
    size_mb: float
    load_seconds: float | None
    time_to_first_token: Spread | None
    prefill_tokens_per_second: Spread | None
    decode_tokens_per_second: Spread | None
    joules_per_token: float | None
    prompt_tokens: int
    peak_memory_mib: float | None
    load_average: float | None
    machine: dict[str, Any] | None
    state: dict[str, Any]
    unmeasured: str = ""
    tasks: dict[str, Answers] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference, paired by problem, and its 95% interval."""

    mean: float
    low: float
    high: float

    @property
    def may_be_chance(self) -> bool:
        """Whether the interval holds zero."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True)
class Paired:
    """Problems that were lost and won between two at the same ones, and the exact sign test's p."""

    problems: int
    lost: int
    won: int
    sign_test: float

    @property
    def worse(self) -> bool:
        """Whether significantly more were lost."""
        return self.sign_test < 0.05 and self.lost > self.won


@dataclass(frozen=True, slots=True)
class Gain:
    """What training brought at the same problems.

    base_asked: in which way the base was asked, or what of the training it had behind it.
    """

    base: float
    tuned: float
    problems: int
    lost: int
    won: int
    sign_test: float
    difference: Difference
    base_asked: str = ""


@dataclass(frozen=True, slots=True)
class BenchResults:
    """A whole benchmark.

    gain: `best`, over the base asked in its best way; `own_way`; `last_stage`; and of each
    artifact, beside the tuned model.
    """

    date: str
    device: dict[str, Any]
    settings: dict[str, Any]
    rows: list[ModelRow]
    gain: dict[str, Gain] = field(default_factory=dict)

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that any model answered, in order."""
        return list(dict.fromkeys(task for row in self.rows for task in row.tasks))

    def row(self, name: str) -> ModelRow | None:
        """The row of a model."""
        return next((row for row in self.rows if row.name == name), None)


_RESULTS, _ROWS = TypeAdapter(BenchResults), TypeAdapter(dict[str, ModelRow])


def as_json(results: BenchResults) -> dict[str, Any]:
    """The results as plain JSON values."""
    values: dict[str, Any] = _RESULTS.dump_python(results, mode="json")
    return values


def write(folder: Path, results: BenchResults) -> Path:
    """Write `results.json` of a folder; return it."""
    owned.write(folder / FILE, _RESULTS.dump_json(results, indent=1).decode() + "\n")
    return folder / FILE


def read(folder: Path) -> BenchResults:
    """The results in a folder; raises InputError where there are none, or of another version."""
    file = folder / FILE
    if not file.is_file():
        raise InputError(f"{folder}: no {FILE}; name a folder that a benchmark wrote.")
    try:
        return _RESULTS.validate_python(read_json(file, "Json"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{file}: {where}: {first['msg']}; it was edited, or written by another version of "
            "srl-edge: run the benchmark again."
        ) from None


def write_rows(file: Path, rows: dict[str, ModelRow]) -> None:
    """Keep rows by name, without their tasks, until the benchmark has all of them."""
    replace(file, _ROWS.dump_json(rows).decode() + "\n")


def read_rows(file: Path) -> dict[str, ModelRow]:
    """What `write_rows` kept; nothing where there is no such file, or it is of another version."""
    try:
        return _ROWS.validate_json(file.read_bytes()) if file.is_file() else {}
    except ValidationError:
        return {}
