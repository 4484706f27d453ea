"""Signals, dead parents and runners that talk nonsense: everything ends soon, and in a sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from srl_edge import line, processes, recipe
from tests.helpers.command_line import srl_edge, write_recipe

WITHIN = 4.0  # 2 seconds, on a machine that is busy with other tests
# A stage that is busy: in Python, or in C where no signal is looked at.
BUSY = {
    "python": "while True: sum(range(99))",
    "c": "__import__('hashlib').pbkdf2_hmac('sha256', b'', b'', 10**9)",
}
STAGE = """
import sys
from srl_edge import processes
processes.listen()
try:
    print("busy", file=sys.stderr, flush=True)
    {busy}
except processes.Ended as end:
    sys.exit(processes.say(end.number))
"""
LINE = """
import sys
from srl_edge import processes
processes.listen()
try:
    sys.exit(processes.run_child([sys.executable, "-c", sys.argv[1]]))
except processes.Ended as end:
    sys.exit(processes.say(end.number))
"""


def as_in_a_terminal() -> None:
    """Undo what nohup, or a shell that starts a job in the background, ignores."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def started(*command: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.PIPE, text=True, preexec_fn=as_in_a_terminal
    )
    assert process.stderr and process.stderr.readline() == "busy\n"
    return process


def gone(processes: list[psutil.Process], start: float) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=WITHIN - (time.monotonic() - start))
    return not alive


@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_stage_with_a_sentence(busy: str, name: str) -> None:
    process, start = started("-c", STAGE.format(busy=BUSY[busy])), time.monotonic()
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - start < WITHIN
    assert process.returncode == 128 + getattr(signal, name)
    assert errors == f"srl-edge: ended by {name}; the same command begins anew.\n"


@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_line_that_ends_takes_its_stage_along(busy: str, name: str) -> None:
    process = started("-c", LINE, STAGE.format(busy=BUSY[busy]))
    (child,) = psutil.Process(process.pid).children()
    start = time.monotonic()
    process.send_signal(getattr(signal, name))
    process.wait(timeout=30)
    assert gone([child], start)
    errors = process.communicate()[1]
    assert errors.count("srl-edge: ended by") == 1


def test_what_nohup_ignores_stays_ignored() -> None:
    code = STAGE.format(busy="import time; time.sleep(1.5); sys.exit(7)")
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert process.stderr and process.stderr.readline() == "busy\n"
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 7


TWICE = """
import os, signal, sys, time
from srl_edge import processes
processes.listen()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(9)
except KeyboardInterrupt:
    os.kill(os.getpid(), int(sys.argv[1]))
    time.sleep(0.1)
    processes.end(signal.SIGINT)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_second_signal_does_not_end_the_end(name: str) -> None:
    command = [sys.executable, "-c", TWICE, str(int(getattr(signal, name)))]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=as_in_a_terminal
    )
    assert done.returncode == 130
    assert done.stderr == "srl-edge: interrupted; the same command begins anew.\n"


def test_training_that_is_told_to_end_goes_on_later(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = write_recipe(tmp_path, taught_model, word_problems)
    flags = ["--stages.0.steps", "4000", "--trainer.checkpoint-every", "1"]
    command = [sys.executable, "-m", "srl_edge", "run", str(recipe), *flags]
    line = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "run" / "train").glob("checkpoint-*")):
        assert line.poll() is None
        time.sleep(0.2)
    below = psutil.Process(line.pid).children(recursive=True)
    start = time.monotonic()
    line.terminate()
    _, errors = line.communicate(timeout=30)
    assert line.returncode == 143 and gone(below, start)
    assert errors.count("ended by SIGTERM; the same command goes on") == 1
    # The one before stands beside the newest where the end came before its removal.
    kept = sorted((tmp_path / "run" / "train").glob("checkpoint-*"))
    flags[1] = str(int(kept[-1].name.rpartition("-")[2]) + 1)
    resumed = srl_edge("train", recipe, *flags)
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.parametrize("module", ["random", "tokenize", "tomllib"])
def test_modules_of_the_current_folder_are_not_imported(module: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("open('was run', 'w')\nraise SystemExit(9)\n")
    for verb in (["doctor"], ["run", "absent.toml"]):
        command = [sys.executable, "-m", "srl_edge", *verb]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment)
        assert done.returncode != 9
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize(
    "module", ["srl_edge", "srl_edge.devices.hosts.runner", "srl_edge.method.answers.mathematics"]
)
def test_nor_by_the_processes_that_are_started(module: str, tmp_path: Path) -> None:
    for name in ("random", "tokenize", "numpy", "math_verify"):
        (tmp_path / f"{name}.py").write_text("open('was run', 'w')\nraise SystemExit(9)\n")
    done = subprocess.run(processes.python(module), cwd=tmp_path, input=b"", capture_output=True)
    assert done.returncode != 9 and not (tmp_path / "was run").exists()


SESSION = """
import os, sys
from srl_edge.devices.hosts.session import Session
session = Session("phone", [sys.executable, "-c", sys.argv[1]], os.environ)
print(session._runner.pid, flush=True)
session.generate([[1]], 1)
"""
RUNNER = """
import sys
from srl_edge import processes
state = '{"load": null, "celsius": null, "battery": null, "governor": null}'
print('{"load_seconds": 1, "batch": 1, "machine": {}, "state": %s}' % state, flush=True)
for line in processes.lines(sys.stdin):
    __import__('hashlib').pbkdf2_hmac('sha256', b'', b'', 10**9)
"""


LOADING = """
import hashlib, sys
from srl_edge.devices.hosts import runner
runner.open_model = lambda *_: hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
sys.argv[1:] = ["torch", "model", "1"]
runner.main()
"""


def test_a_runner_that_still_loads_ends_with_the_benchmark_too() -> None:
    command = [sys.executable, "-c", LOADING]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        process.communicate(timeout=60)  # closes its input
        assert process.returncode == -signal.SIGTERM
    finally:
        process.kill()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_runner_ends_with_the_benchmark_that_was_killed(name: str) -> None:
    command = [sys.executable, "-c", SESSION, RUNNER]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    runner = psutil.Process(int(process.stdout.readline()))
    time.sleep(0.5)  # it is busy now
    start = time.monotonic()
    process.send_signal(getattr(signal, name))
    process.wait(timeout=30)
    assert gone([runner], start)


def test_a_recipes_code_runs_in_training_alone_and_is_said_once(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = write_recipe(tmp_path, taught_model, word_problems)
    mine = tmp_path / "rewards.py"
    mine.write_text("open(__file__ + '.ran', 'a').close()\ndef short(action, prompt): return 1.0\n")
    text = recipe.read_text().replace(
        'kind = "srl"', 'kind = "srl"\nreward = { characters = 1.0, "rewards.py:short" = 0.1 }'
    )
    recipe.write_text(text)
    ran = Path(f"{mine}.ran")
    for verb in (["run", recipe, "--help"], ["fit", recipe], ["data", recipe], ["report", recipe]):
        srl_edge(*verb)
        assert not ran.exists(), verb
    job = ("--engine", "trl", "--out", tmp_path / "job")
    for flags in (["run", recipe], ["headroom", recipe], ["scale", recipe, *job]):
        refused = srl_edge(*flags, "--no-code")
        assert refused.returncode == 2 and not ran.exists()
        assert f"training runs {mine}; --no-code refuses" in refused.stderr
    trained = srl_edge("train", tmp_path / "run", "--stages.0.steps", "30")
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr.count(f"train: this recipe runs {mine}\n") == 1 and ran.exists()


def test_a_verifier_is_said_by_each_stage_that_runs_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "judge.py").write_text("def same(given, answer): return True\n")
    path = tmp_path / "r.toml"
    path.write_text(
        "output = 'r'\n[model]\nname = 'm'\n[prompt]\nverifier = 'judge.py:same'\n"
        "[data.difficulty]\nkeep = ['never']\n[[stages]]\nkind = 'sft'\nsteps = 1\n"
    )
    settings = recipe.load(path)
    for name in ("data", "train", "check", "bench", "headroom"):
        line._announce(settings, name)
        said = capsys.readouterr().err
        assert said == f"{name}: this recipe runs {tmp_path / 'judge.py'}\n"
    for name in ("export", "report"):
        line._announce(settings, name)
        assert capsys.readouterr().err == ""
    every = settings.data.model_copy(update={"difficulty": recipe.Difficulty()})
    line._announce(settings.model_copy(update={"data": every}), "data")
    assert capsys.readouterr().err == ""


def test_who_is_sent_the_prompts_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        "output = 'r'\n[model]\nname = 'm'\n[trainer]\nsampler = 'vllm'\n"
        "vllm_url = 'http://node1:8000'\nvllm_folder = '.'\n[[stages]]\nkind = 'srl'\nsteps = 1\n"
    )
    settings = recipe.load(path)
    for name, said in (
        ("train", "train: the prompts go to vLLM at http://node1:8000\n"),
        ("data", ""),
    ):
        line._announce(settings, name)
        assert capsys.readouterr().err == said


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_cores_are_those_that_a_process_may_use() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from srl_edge import processes; print(processes.cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_a_stage_that_is_killed_is_named(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = write_recipe(tmp_path, taught_model, word_problems)
    flags = ["--stages.0.steps", "4000"]
    command = [sys.executable, "-m", "srl_edge", "run", str(recipe), *flags]
    line = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "train" / "metrics.jsonl").is_file():
        assert line.poll() is None
        time.sleep(0.2)
    (stage,) = psutil.Process(line.pid).children()
    stage.kill()
    errors = line.communicate(timeout=30)[1]
    assert line.returncode == 1
    assert "srl-edge: train: its process was ended by SIGKILL (the system does that where" in errors
    assert errors.rstrip().endswith(f"`srl-edge run {tmp_path / 'run'}` goes on from where it was.")
