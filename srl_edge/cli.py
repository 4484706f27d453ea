"""The command line: `srl-edge run RECIPE.toml`, or one stage at a time."""

import difflib
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srl_edge import __version__, processes, without_run

if TYPE_CHECKING:
    from srl_edge.recipe import Recipe

USAGE = """\
srl-edge {version}: from expert trajectories to a measured artifact on a device

  srl-edge run RECIPE.toml [--section.key value ...]   the whole line; skips what is done
                          [--no-code] refuses a recipe that brings code of its own

  srl-edge init [FILE] [--from NAME]                   a commented recipe to begin with

  One stage of it; PATH is a recipe or a run folder:
  srl-edge data PATH      expert trajectories -> step prompts, split
                          [--show N] prints the first N prompts with their tokens counted,
                          and examples of the rows that were dropped
  srl-edge data generate SOURCE --url URL --model M --out ROWS.jsonl
                          trajectories from an OpenAI-compatible endpoint, verified
  srl-edge data record WORLD.json --out ROWS.jsonl
                          requests to a home of your own, as you fulfil them
  srl-edge train PATH     step prompts -> adapter (goes on from the newest checkpoint;
                          with --resume it fails where there is none)
  srl-edge export PATH    adapter -> merged model -> ONNX and ExecuTorch artifacts
                          [--via optimum] Hugging Face's exporter instead
  srl-edge check PATH     do the artifacts answer as the trained model does?
  srl-edge bench PATH     accuracy, speed, memory and size of each
  srl-edge report PATH    report.html, report.md, report.json

  Without a run, any model, with an adapter of any tool or as it is:
  srl-edge export --model M [--adapter A] --artifacts onnx-int4 executorch-8da4w --out DIR
  srl-edge check ARTIFACT... --model M [--adapter A]

  srl-edge bench-tasks WHAT... --tasks gsm8k,svamp --out DIR
                          [--data FILE] [--limit N] [--reply whole] [--shots N] [--resume]
                          the same of artifacts, models, GGUF, .pte, ONNX and MLX of anybody's
                          at public test sets, or rows of your own [--device ssh:HOST]
  srl-edge compare OLD NEW [--slower 0.1]
                          what got worse between two folders of results; exit code 1 where
                          something did
  srl-edge fit PATH [--memory 8GB] [--device cpu|cuda] [--prompt-tokens N]
                          peak memory of training by term, before anything is loaded, and what to
                          change where it is too much; exit code 1 where it is
  srl-edge headroom PATH [--problems 64] [--k 8]
                          what the model does of the task before it is trained, which pipeline to
                          try, and how long training will take here
  srl-edge scale PATH --engine trl|verl --out DIR [--adapter A]
                          the recipe's last stage as a job for an engine of many machines
  srl-edge doctor         what this machine can do, and what to install for the rest
  srl-edge inspect DIR    what an artifact is, from its manifest
  srl-edge convert-adapter ADAPTER FILE
                          a PEFT folder as .onnx_adapter or .ptd, for a base artifact that was
                          exported with --export.adapter separate [--artifact DIR], or as a
                          folder for mlx-lm; mlx-lm's as PEFT's
  srl-edge rollouts RUN   replies of a training step beside the expert's
                          [--step N] [--best | --worst] [--limit 5]

  srl-edge run RECIPE.toml --help   every setting, with this recipe's values

Exit codes: 0 success, 1 failure, 2 usage or input, 3 parity failed, 4 parity not measured,
130 interrupted."""

STAGES = ("data", "train", "export", "check", "bench", "report")
VERBS = (
    *("run", "init", "headroom", "scale", *STAGES, "bench-tasks", "compare", "fit"),
    *("doctor", "inspect", "convert-adapter", "rollouts"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; ends the process with its exit code."""
    processes.listen()
    sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(arguments: list[str]) -> int:
    from srl_edge.errors import InputError, ParityError, StageError, UnmeasuredError

    try:
        return _command(arguments)
    except InputError as error:
        return _fail(error, 2)
    except ParityError as error:
        return _fail(error, 3)
    except UnmeasuredError as error:
        return _fail(error, 4)
    except StageError as error:
        return _fail(error, 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}.", 2)
    except Exception as error:
        # What safetensors says of a disk that is full; its class is not imported for that.
        if type(error).__name__ != "SafetensorError":
            raise
        return _fail(f"{error}; is the disk full?", 2)
    except KeyboardInterrupt:
        processes.end(signal.SIGINT)
    except processes.Ended as end:
        processes.end(end.number)


def _command(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help" | "help", *_]:
            print(USAGE.format(version=__version__))
        case ["-V" | "--version"]:
            print(__version__)
        case [
            ("run" | "data" | "train" | "bench" | "report" | "inspect" | "doctor") as verb,
            "-h" | "--help",
        ]:
            print(_usage_of(verb))
        case ["export" | "check" as name, *flags] if without_run.asked_for(flags):
            _quiet_libraries()
            without_run.command(name, flags)
        case ["doctor"]:
            from srl_edge.terminal.doctor import doctor

            print(doctor())
        case ["inspect", folder]:
            from srl_edge.artifact import load

            _print_manifest(load(Path(folder)).manifest)
        case ["convert-adapter", *flags]:
            _convert_adapter(flags)
        case ["rollouts", *flags]:
            _show_rollouts(flags)
        case ["fit", "-h" | "--help"]:
            return _fit("", ["--help"])
        case ["fit", path, *flags]:
            return _fit(path, flags)
        case ["init", *flags]:
            _init(flags)
        case ["headroom", "-h" | "--help"]:
            return _headroom("", ["--help"])
        case ["headroom", path, *flags]:
            return _headroom(path, flags)
        case ["scale", "-h" | "--help"]:
            _scale("", ["--help"])
        case ["scale", path, *flags]:
            _scale(path, flags)
        case ["run", path, *flags]:
            from srl_edge import line

            _quiet_libraries()
            print(line.run_line(_recipe(path, flags)))
        case ["export", path, "--via", "optimum", *flags]:
            return _command(["export", path, "--export.artifacts", "optimum-fp32", *flags])
        case ["compare", *flags]:
            return _compare(flags)
        case ["bench-tasks", *flags]:
            _bench_tasks(flags)
        case ["bench", *flags] if "--compare" in flags or "--tasks" in flags:
            verb = "compare" if "--compare" in flags else "bench-tasks"
            print(f"srl-edge: this is `srl-edge {verb}` now.", file=sys.stderr)
            return _command([verb, *(flag for flag in flags if flag != "--compare")])
        case ["data", "generate", *flags]:
            from srl_edge.data.commands import run_generate

            print(run_generate(flags))
        case ["data", "record", *flags]:
            from srl_edge.data.commands import run_record

            print(run_record(flags))
        case ["data", path, *flags] if "--show" in flags:
            _show_prompts(path, flags)
        case [stage, path, *flags] if stage in STAGES:
            from srl_edge import line

            _quiet_libraries()
            settings = _recipe(path, [f for f in flags if f != "--resume"])
            if "--resume" in flags:
                line.require_checkpoint(settings.run, stage)
            print(line.run_stage(settings, stage))
        case [verb, *_]:
            return _fail(_mistaken(verb), 2)
    return 0


def _usage_of(verb: str) -> str:
    """What the usage says of one verb, and how every setting is listed."""
    kept, about = [], False
    for line in USAGE.splitlines():
        if not line.startswith("    "):
            about = line.startswith(f"  srl-edge {verb} ")
        if about or (verb in STAGES and "every setting" in line):
            kept.append(line)
    return "\n".join(kept)


def _mistaken(verb: str) -> str:
    """What is wrong with a command that is none, in a sentence."""
    if verb in VERBS:
        takes = "an artifact's folder" if verb == "inspect" else "a recipe or a run folder"
        return f"{verb} needs {takes}: srl-edge {verb} PATH"
    near = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f"did you mean `srl-edge {near[0]}`?" if near else "`srl-edge --help` lists them."
    return f"{verb!r} is no command of srl-edge; {hint}"


def _recipe(path: str, flags: Sequence[str]) -> "Recipe":
    """The recipe of a path; with --no-code, one that has code of its own is refused."""
    from srl_edge import recipe
    from srl_edge.errors import InputError

    settings = recipe.load(Path(path), [f for f in flags if f != "--no-code"])
    if settings.code and "--no-code" in flags:
        raise InputError(f"{path}: training runs {' and '.join(settings.code)}; --no-code refuses.")
    return settings


def _show_prompts(path: str, arguments: Sequence[str]) -> None:
    from argparse import ArgumentParser

    from srl_edge import line
    from srl_edge.data import stage

    parser = ArgumentParser("srl-edge data", allow_abbrev=False)
    parser.add_argument("--show", type=int, default=3, nargs="?", const=3, help="prompts")
    chosen, flags = parser.parse_known_args(arguments)
    if chosen.show < 1:
        parser.error("--show: at least 1 is needed.")
    _quiet_libraries()
    settings = _recipe(path, flags)
    line.run_stage(settings, "data")
    print(stage.show(settings, settings.run, chosen.show))


def _print_manifest(manifest: dict[str, object]) -> None:
    import json

    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    print(text.encode(errors="backslashreplace").decode())  # half of a character is printed as such


def _convert_adapter(arguments: Sequence[str]) -> None:
    from argparse import ArgumentParser

    parser = ArgumentParser("srl-edge convert-adapter")
    parser.add_argument("adapter", type=Path, help="folder of PEFT or mlx-lm")
    parser.add_argument(
        "file", type=Path,
        help="to write: NAME.onnx_adapter, NAME.ptd, or a folder (mlx-lm's; PEFT's from mlx-lm's)",
    )  # fmt: skip
    parser.add_argument("--artifact", type=Path, help="the base that will read it (for .ptd)")
    chosen = parser.parse_args(arguments)
    _quiet_libraries()
    from srl_edge.exporters.adapters import convert

    print(convert(chosen.adapter, chosen.file, chosen.artifact))


def _compare(arguments: Sequence[str]) -> int:
    from argparse import ArgumentParser

    from srl_edge.devices.bench.compare import SLOWER, compare

    parser = ArgumentParser("srl-edge compare")
    parser.add_argument("old", type=Path, help="folder with a results.json")
    parser.add_argument("new", type=Path, help="the folder to compare with it")
    parser.add_argument("--slower", type=float, default=SLOWER, help="share that may be lost")
    chosen = parser.parse_args(arguments)
    said, worse = compare(chosen.old, chosen.new, chosen.slower)
    print("\n".join(said))
    return _fail("worse: " + "; ".join(worse), 1) if worse else 0


def _bench_tasks(arguments: Sequence[str]) -> None:
    _quiet_libraries()
    from srl_edge.devices.bench.command import bench_tasks

    print(bench_tasks(arguments))


def _fit(path: str, arguments: Sequence[str]) -> int:
    from argparse import ArgumentParser

    from srl_edge import recipe
    from srl_edge.line import require_routes
    from srl_edge.models.catalog import config_of
    from srl_edge.models.shape import from_config
    from srl_edge.trainers.memory import fit

    parser = ArgumentParser("srl-edge fit", "srl-edge fit PATH [options]", allow_abbrev=False)
    parser.add_argument("--memory", help="like 8GB; without it, what this machine has")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="without it, the recipe's")
    parser.add_argument("--prompt-tokens", type=int, help="of the longest prompt")
    chosen, flags = parser.parse_known_args(arguments)
    if chosen.prompt_tokens is not None and chosen.prompt_tokens < 1:
        parser.error("--prompt-tokens: at least 1 is needed.")
    _quiet_libraries()
    memory = fit.read_memory(chosen.memory) if chosen.memory else None
    settings = recipe.load(Path(path), flags)
    name = settings.model.name
    require_routes(settings)
    shape = from_config(config_of(name), name)
    device = chosen.device or fit.device_of(settings.trainer)
    memory = fit.memory_here(device) if memory is None else memory
    size = fit.weight_bytes(settings.trainer.dtype, device)
    found = fit.fit(settings, shape, memory, device, size, chosen.prompt_tokens)
    fit.show(found, settings, " ".join(["srl-edge run", path, *flags]))
    if found.changes is None:
        least = f"{path}: does not fit in {memory / 1e9:g} GB, whatever is halved"
        return _fail(f"{least}; a smaller model may.", 1)
    return 1 if found.changes else 0


def _init(arguments: Sequence[str]) -> None:
    from argparse import ArgumentParser

    from srl_edge.recipe.starters import names, write_starter

    parser = ArgumentParser("srl-edge init")
    parser.add_argument("file", type=Path, nargs="?", default=Path("recipe.toml"),
                        help="to write (recipe.toml)")  # fmt: skip
    parser.add_argument("--from", dest="name", default="starter", help=", ".join(names()))
    chosen = parser.parse_args(arguments)
    file = write_starter(chosen.file, chosen.name)
    print(f"{file}: change what is yours, then: srl-edge headroom {shlex.quote(str(file))}")


def _scale(path: str, arguments: Sequence[str]) -> None:
    from argparse import ArgumentParser

    from srl_edge import line

    parser = ArgumentParser("srl-edge scale", "srl-edge scale PATH [options]", allow_abbrev=False)
    parser.add_argument("--engine", required=True, help="trl or verl")
    parser.add_argument("--out", required=True, type=Path, help="folder of the job")
    parser.add_argument("--adapter", type=Path, help="PEFT folder that training goes on from")
    chosen, flags = parser.parse_known_args(arguments)
    _quiet_libraries()
    print(line.scale(_recipe(path, flags), chosen.engine, chosen.out, chosen.adapter))


def _headroom(path: str, arguments: Sequence[str]) -> int:
    from argparse import ArgumentParser

    from srl_edge import line
    from srl_edge.method.headroom import advice, in_words

    parser = ArgumentParser(
        "srl-edge headroom", "srl-edge headroom PATH [options]", allow_abbrev=False
    )
    parser.add_argument("--problems", type=int, default=64, help="of the training split (64)")
    parser.add_argument("--k", type=int, default=8, help="replies to each (8)")
    chosen, flags = parser.parse_known_args(arguments)
    if chosen.problems < 1:
        parser.error("--problems: at least 1 is needed.")
    if chosen.k < 2:
        parser.error("--k: at least 2 replies are needed, to tell sometimes from always.")
    _quiet_libraries()
    settings = _recipe(path, flags)
    found, file = line.headroom(settings, chosen.problems, chosen.k)
    print("\n".join(in_words(found)))
    for sentence in advice(found, [stage.kind for stage in settings.stages]):
        print(f"- {sentence}")
    print(file)
    return 0


def _show_rollouts(arguments: Sequence[str]) -> None:
    from argparse import ArgumentParser

    from srl_edge.terminal.rollouts import show

    parser = ArgumentParser("srl-edge rollouts")
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--step", type=int, help="training step; without it, the newest")
    pick = parser.add_mutually_exclusive_group()
    for name in ("best", "worst"):
        text = f"only the {name} rollout of each group, sorted"
        pick.add_argument(f"--{name}", dest="pick", action="store_const", const=name, help=text)
    parser.add_argument("--limit", type=int, default=5, help="most groups (5)")
    chosen = parser.parse_args(arguments)
    if chosen.limit < 1:
        parser.error("--limit: at least 1 is needed.")
    show(chosen.run, chosen.step, chosen.pick, chosen.limit)


def _quiet_libraries() -> None:
    """Keep libraries' chatter off the terminal, where people look for ours."""
    import logging
    import warnings

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    warnings.filterwarnings("ignore")
    for name in (
        "torchao",
        "bitsandbytes",
        "torch.utils._pytree",
        "transformers",
        "onnxruntime",
        "huggingface_hub",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)


def _fail(message: object, code: int) -> int:
    print(f"srl-edge: {message}", file=sys.stderr)
    return code
