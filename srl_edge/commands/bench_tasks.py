"""`srl-edge bench-tasks`: models and artifacts of anybody's at tasks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from srl_edge import processes
from srl_edge.commands.outcome import Outcome, written
from srl_edge.commands.parser import Parser, amount, quiet_libraries
from srl_edge.devices.bench.artifacts import bench_artifacts, device_named
from srl_edge.devices.bench.benchmark import require_place
from srl_edge.devices.bench.shots import drawn
from srl_edge.devices.bench.tasks import problems
from srl_edge.files import read_json
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Bench, Columns
from srl_edge.recipe.errors import first_sentence

_SETTINGS = (
    "samples",
    "temperature",
    "threads",
    "max_steps",
    "max_new_tokens",
    "step_prompts",
    "repeats",
    "timeout",
    "prompt_tokens",
    "decode_tokens",
)


def parser() -> Parser:
    parser = Parser(
        "bench-tasks",
        "Accuracy, speed, memory and size of artifacts, models, GGUF, .pte, ONNX and MLX of\n"
        "anybody's, at public test sets or rows of your own.",
    )
    parser.add_argument(
        "what",
        nargs="+",
        metavar="WHAT",
        help="an artifact's folder, a model's folder, known name or hub id, a folder of MLX or "
        "onnxruntime-genai, a .gguf, or a .pte with its tokenizer beside it",
    )
    parser.add_argument("--tasks", required=True, help="tasks to measure, with commas between them")
    parser.add_argument("--out", required=True, type=Path, help="folder of the results")
    parser.add_argument(
        "--device",
        default="local",
        help="where to measure: local, browser, ssh:HOST or adb:SERIAL (local)",
    )
    parser.add_argument("--python", default="python3", help="Python of the ssh host (python3)")
    parser.add_argument(
        "--llama-main", default="", help="where an Android device has ExecuTorch's program"
    )
    parser.add_argument(
        "--data",
        help="rows of the one task in place of its own: a file, a folder or hf:NAME, as "
        "data.source takes them",
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        default=(),
        metavar="NAME=COLUMN",
        help="which columns of --data to read: problem=COLUMN answer=COLUMN, also solution and "
        "steps",
    )
    parser.add_argument(
        "--limit", type=int, help="most problems of each task, from its first on (all)"
    )
    parser.add_argument(
        "--reply",
        choices=("whole",),
        help="let our own artifacts answer in one whole reply too, in the model's own way",
    )
    parser.add_argument(
        "--shots",
        type=int,
        default=0,
        metavar="N",
        help="worked examples shown before each problem (0)",
    )
    parser.add_argument(
        "--shots-data",
        metavar="ROWS",
        help="rows to take the examples from (other rows of the task)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with what --out holds")
    parser.add_argument(
        "--soak",
        type=amount,
        default=0.0,
        metavar="MINUTES",
        help="afterwards, let each decode for that long, to see it slow down",
    )
    for name in _SETTINGS:
        field = Bench.model_fields[name]
        said = (field.description or "").rstrip(".")
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(field.default),
            default=None,
            metavar="N",
            help=f"{said} ({field.default})",
        )
    return parser


def run(chosen: Any, flags: list[str]) -> Outcome:
    quiet_libraries()
    names = list(dict.fromkeys(chosen.tasks.split(",")))
    if chosen.limit is not None and chosen.limit < 1:
        parser().error("--limit: at least 1 is needed")
    if not 0 <= chosen.soak <= 10_000:
        parser().error("--soak: minutes are needed, at most 10000")
    if not 0 <= chosen.shots <= 100:
        parser().error("--shots: from 0 to 100 examples can be shown")
    if (chosen.data or chosen.shots_data) and len(names) > 1:
        parser().error("--data and --shots-data hold the rows of one task; name one")
    if chosen.shots_data and not chosen.shots:
        parser().error("--shots-data: say with --shots how many of its rows are shown")
    fields = {name: getattr(chosen, name) for name in _SETTINGS}
    try:
        settings = Bench.model_validate({k: v for k, v in fields.items() if v is not None})
    except ValidationError as error:
        parser().error(first_sentence(Bench, error))
    columns = _columns(chosen.columns) if chosen.columns else None
    where = device_named(chosen.device, chosen.python, chosen.llama_main)
    require_place(chosen.out, chosen.resume)
    processes.leave_with("the same command with --resume goes on from where it was")
    tasks, shots = _problems(names, chosen, columns)
    page = bench_artifacts(
        chosen.what,
        tasks,
        settings,
        where,
        chosen.out,
        chosen.resume,
        chosen.soak,
        chosen.device,
        chosen.reply == "whole",
        shots,
    )
    results = read_json(chosen.out / "results.json", "Results") if chosen.json else None
    return written(page, **({"results": results} if chosen.json else {}))


def _problems(
    names: Sequence[str], chosen: Any, columns: Mapping[str, str] | None
) -> tuple[dict[str, list[Trajectory]], dict[str, list[Trajectory]]]:
    """The problems of each task that are measured, and the examples that are shown before them."""
    tasks, shots = {}, {}
    for name in names:
        pooled = chosen.shots and not chosen.shots_data
        found = problems(name, chosen.data, None if pooled else chosen.limit, columns)
        tasks[name] = found[: chosen.limit]
        if chosen.shots:
            pool = found[len(tasks[name]) :] if pooled else problems(name, chosen.shots_data)
            shots[name] = drawn(pool, tasks[name], chosen.shots, name)
    return tasks, shots


def _columns(pairs: Sequence[str]) -> dict[str, str] | None:
    """The columns that `--columns` names, as `data.columns` does."""
    if wrong := next((pair for pair in pairs if "=" not in pair), None):
        parser().error(f"--columns: {wrong!r} is not of the form NAME=COLUMN")
    try:
        return Columns.model_validate(dict(pair.split("=", 1) for pair in pairs)).named
    except ValidationError as error:
        parser().error(f"--columns: {first_sentence(Columns, error)}")
