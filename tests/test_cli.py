"""Mistakes end in one clear sentence, the right exit code, and nothing half-written."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from srl_edge import cli
from srl_edge.artifact import Artifact
from srl_edge.cli import ALL
from srl_edge.errors import InputError
from srl_edge.files import cache_folder
from srl_edge.quantization.formats import require_builders
from srl_edge.terminal import progress
from tests.helpers.command_line import heeding_interrupts, srl_edge, write_recipe
from tests.helpers.sources import ROOT


def test_help_and_doctor_say_what_there_is() -> None:
    shown = srl_edge()
    assert shown.returncode == 0 and "bench-tasks" in shown.stdout
    assert srl_edge("-V").stdout == srl_edge("--version").stdout != ""
    doctor = srl_edge("doctor")
    assert doctor.returncode == 0 and "train on PyTorch" in doctor.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "doctor"], "--json stands before any verb; options follow theirs"),
        (["export", "x.toml", "--context-length", "9"], "of a run it is --export.context_length"),
        (["trian", "x.toml"], "'trian' is no command of srl-edge; did you mean `srl-edge train`?"),
        (["bench_tasks", "x"], "did you mean `srl-edge bench-tasks`?"),
        (["qwertz"], "`srl-edge --help` lists them"),
        (["train"], "train needs PATH (a recipe or a run folder); `srl-edge train --help` says"),
        (["fit", "--memory", "8GB"], "fit needs PATH (a recipe or a run folder)"),
        (["inspect"], "inspect needs DIR (an artifact's folder)"),
        (
            ["scale", "x"],
            "scale needs --engine (engine of the job: trl or verl) and --out (folder of the job)",
        ),
        (["doctor", "--jsn"], "doctor: '--jsn' is not taken here; did you mean --json?"),
        (["compare", "a"], "compare needs NEW (the folder to compare with it)"),
        (["rollouts", "x", "--step", "two"], "rollouts: --step: invalid int value: 'two'."),
        (["export", "x", "--out", "y"], "export: --out goes with --model, which is not given."),
        (["chat", "~nobodys/m"], "~nobodys/m: no home of such a user is known"),
        (["export", "--model", "m", "--out", "~nobodys/o"], "~nobodys/o: no home of such a user"),
        (
            ["bench-tasks", "x"],
            "bench-tasks needs --tasks (tasks to measure, with commas between them) and",
        ),
    ],
)
def test_a_mistaken_command_is_one_sentence(words: list[str], said: str) -> None:
    failed = srl_edge(*words)
    assert failed.returncode == 2 and said in failed.stderr
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["run", "data", "headroom"])
def test_a_start_that_fails_leaves_no_run(verb: str, tmp_path: Path, tiny_model: Path) -> None:
    path = write_recipe(tmp_path, tiny_model, [])
    failed = srl_edge(verb, path)
    assert failed.returncode == 2, failed.stderr
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    assert srl_edge(verb, path).returncode == 2 and (tmp_path / "run").is_dir()


@pytest.mark.parametrize("verb", ALL)
def test_every_verb_has_help_of_its_own(verb: str) -> None:
    shown = srl_edge(*verb.split(), "--help")
    assert shown.returncode == 0 and shown.stdout.startswith(f"usage: srl-edge {verb} ")
    assert max(map(len, shown.stdout.splitlines())) <= int(os.environ.get("COLUMNS", 80))
    named = [other for other in ALL if shown.stdout.startswith(f"usage: srl-edge {other} ")]
    assert max(named, key=len) == verb and shown.stdout.count("usage: ") == 1
    assert srl_edge("help", *verb.split()).stdout == shown.stdout


def test_every_verb_has_a_file_and_every_file_a_verb() -> None:
    common = {"__init__", "__main__", "listing", "outcome", "parser", "stages", "without_run"}
    files = {file.stem for file in (ROOT / "srl_edge" / "commands").glob("*.py")} - common
    assert files == {verb.replace(" ", "_").replace("-", "_") for verb in ALL}


def test_what_was_found_is_json_for_programs(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    path = write_recipe(tmp_path, tiny_model, word_problems)
    shown = srl_edge("data", path, "--json", "--quiet")
    found = json.loads(shown.stdout)
    assert found["path"] == str(tmp_path / "run" / "data") and shown.stderr == ""
    assert found["data"]["kept"] == len(word_problems)
    doctor = json.loads(srl_edge("doctor", "--json").stdout)
    assert any("torch" in each["versions"] for each in doctor["abilities"])
    failed = srl_edge("train", tmp_path / "absent.toml", "--json")
    said = json.loads(failed.stdout)
    assert said["exit_code"] == failed.returncode == 2 and said["error"] in failed.stderr


def test_quiet_says_nothing_but_mistakes(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    path = write_recipe(tmp_path, tiny_model, word_problems)
    assert srl_edge("data", path).stderr.startswith("data: ")
    assert srl_edge("data", path, "-q").stderr == ""
    failed = srl_edge("data", tmp_path / "absent.toml", "-q")
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1


def test_a_pipe_may_close_before_all_is_said() -> None:
    command = f"{sys.executable} -m srl_edge run recipes/demo.toml --help | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("usage:")


def test_closed_and_full_outputs_end_without_a_traceback() -> None:
    for verb in ("doctor", "--help", "completion bash"):
        command = f"{sys.executable} -m srl_edge {verb}"
        done = subprocess.run(["bash", "-c", f"{command} >&- <&-"], capture_output=True, text=True)
        assert done.stderr == "" and done.returncode == 0, verb
        done = subprocess.run(
            ["bash", "-c", f"{command} >/dev/full"], capture_output=True, text=True
        )
        assert "Traceback" not in done.stderr and "No space left" in done.stderr
        assert done.returncode == 2


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("srl-edge ben", {"bench", "bench-tasks"}),
        ("srl-edge train x.toml --trainer.lora", {"--trainer.lora_rank", "--trainer.lora_alpha"}),
        ("srl-edge run x.toml --stages.1.group", {"--stages.1.group_size"}),
        ("srl-edge data gen", {"generate"}),
        ("srl-edge data generate x --pri", {"--price"}),
        ("srl-edge completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_a_shell_is_told_what_may_come_next(typed: str, offered: set[str], tmp_path: Path) -> None:
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "offered"),
        "_ARGCOMPLETE_IFS": "\n",
    }
    command = [sys.executable, "-m", "srl_edge"]
    subprocess.run(command, env=environment, capture_output=True, check=False)
    words = (tmp_path / "offered").read_text().split()
    assert offered <= {word.strip() for word in words}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_a_shell(shell: str) -> None:
    shown = srl_edge("completion", shell)
    assert shown.returncode == 0 and "srl-edge" in shown.stdout and "_ARGCOMPLETE" in shown.stdout


def test_a_builder_that_is_missing_is_named_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("srl_edge.quantization.formats.find_spec", lambda name: None)
    require_builders(["gguf-q8_0"])
    with pytest.raises(InputError, match=r"executorch-fp32 needs executorch, .*'srl-edge\[exec"):
        require_builders(["executorch-fp32"])


def test_too_few_rows_name_the_settings_that_hold_them_out(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    path = write_recipe(tmp_path, tiny_model, word_problems[:5])
    failed = srl_edge("data", path)
    assert failed.returncode == 2 and not (tmp_path / "run" / "data").exists()
    assert "lower data.validation_problems and data.test_problems (4 and 4)" in failed.stderr


def test_a_table_with_columns_of_its_own_names(tmp_path: Path, tiny_model: Path) -> None:
    """From a CSV beside the recipe to splits and prompts; what was dropped is shown."""
    lines = [f"{'x' * i}?,First {i}. Then {i + 1}.,{i + 1}" for i in range(1, 41)]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(["frage,weg,ergebnis", *lines, "y?,One.,1"]) + "\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f"output = '{tmp_path / 'run'}'\n[model]\nname = '{tiny_model}'\n"
        "[data]\nsource = 'rows.csv'\n[data.columns]\nproblem = 'frage'\nsolution = 'weg'\n"
        "answer = 'ergebnis'\n[[stages]]\nkind = 'sft'\nsteps = 1\n"
    )
    shown = srl_edge("data", recipe, "--show", "1")
    assert shown.returncode == 0, shown.stderr
    assert "41 rows read, 40 kept, 1 dropped" in shown.stderr
    assert "shape: 40 data.columns; steps: 40 sentences" in shown.stderr
    assert '--- 1 dropped: fewer than two steps\nrows.csv, row 41: {"frage": "y?"' in shown.stdout
    flags = ["--data.columns.answer", "wert", "--output", tmp_path / "other"]
    failed = srl_edge("data", recipe, *flags)
    assert failed.returncode == 2 and not (tmp_path / "other" / "data").exists()
    said = failed.stderr.splitlines()[1:]  # after the stage's own line
    assert len(said) == 1 and "no column 'wert' for the answer; it has frage, weg, erg" in said[0]


def test_columns_of_a_task_that_are_none_are_refused(tmp_path: Path) -> None:
    task = ("bench-tasks", "x", "--tasks", "mine", "--data", "rows.csv", "--out", tmp_path)
    for columns, words in (("problem", "'problem' is not of the form"), ("answer=x", "where colu")):
        failed = srl_edge(*task, "--columns", columns)
        assert failed.returncode == 2 and f"--columns: {words}" in failed.stderr


def test_a_recipes_own_values_are_in_its_help() -> None:
    shown = srl_edge("run", "recipes/demo.toml", "--help")
    assert shown.returncode == 0 and "--trainer.lora_rank integer" in shown.stdout
    assert "smollm2-135m-instruct" in shown.stdout


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (("[check]", "[chekc]"), "unknown key 'chekc'; did you mean 'check'?"),
        (("{data}", "absent.jsonl"), "absent.jsonl: no such file"),
        (("{model}", "nowhere"), "model 'nowhere': neither a folder, nor a hub id"),
        (("executorch-fp32", "executorch-int3"), "'executorch-int3' is not known; choose from"),
    ],
)
def test_a_mistake_in_the_recipe(
    damage: tuple[str, str],
    message: str,
    tmp_path: Path,
    tiny_model: Path,
    word_problems: list[dict[str, str]],
) -> None:
    recipe = write_recipe(tmp_path, tiny_model, word_problems)
    old, new = damage
    actual = {"{data}": str(tmp_path / "data.jsonl"), "{model}": str(tiny_model)}.get(old, old)
    recipe.write_text(recipe.read_text().replace(actual, new))
    verb = "export" if "int3" in new else "run"
    failed = srl_edge(verb, recipe)
    assert failed.returncode == 2, failed.stderr
    assert message in failed.stderr.splitlines()[-1] and "Traceback" not in failed.stderr
    assert not list((tmp_path).rglob("adapter")) and not list(tmp_path.rglob("artifacts"))


def test_a_jsonl_line_that_is_not_json_is_named(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = write_recipe(tmp_path, tiny_model, word_problems)
    (tmp_path / "data.jsonl").write_text(json.dumps(word_problems[0]) + "\nnope\n")
    failed = srl_edge("data", recipe)
    assert failed.returncode == 2 and "data.jsonl, line 2: not JSON" in failed.stderr


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        ("train", "run `srl-edge data"),
        ("export", "run `srl-edge train"),
        ("check", "run `srl-edge export"),
        ("bench", "run `srl-edge export"),
    ],
)
def test_a_stage_whose_input_is_missing_names_the_stage_before(
    verb: str, message: str, tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    path = write_recipe(tmp_path, tiny_model, word_problems)
    failed = srl_edge(verb, path)
    assert failed.returncode == 2 and "no run is there; `srl-edge data" in failed.stderr
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    failed = srl_edge(verb, path)
    assert failed.returncode == 2 and message in failed.stderr


def test_a_broken_note_of_what_is_done_is_one_sentence(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    path = write_recipe(tmp_path, tiny_model, word_problems)
    assert srl_edge("data", path).returncode == 0
    (tmp_path / "run" / "stages.json").write_text("{")
    failed = srl_edge("train", path)
    assert failed.returncode == 2 and "stages.json: not JSON (" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("manifest.json", ["inspect", "{folder}"]),
        ("results.json", ["compare", "{folder}", "{folder}"]),
    ],
)
def test_a_broken_json_file_is_one_sentence(name: str, command: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"format": "on')
    failed = srl_edge(*(word.format(folder=tmp_path) for word in command))
    assert failed.returncode == 2 and f"{name}: not JSON (" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = write_recipe(tmp_path, tiny_model, word_problems)
    # A file size limit stands in for a full disk: writes fail in the same place.
    command = f"ulimit -f 1; trap '' XFSZ; exec {sys.executable} -m srl_edge data {recipe}"
    failed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert failed.returncode == 2 and "File too large" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "run" / "data").exists()


def test_an_interrupt_leaves_a_run_that_goes_on(
    tmp_path: Path, taught_model: Path, word_problems: list[dict[str, str]]
) -> None:
    recipe = write_recipe(tmp_path, taught_model, word_problems)
    srl_edge("data", recipe)
    flags = ["--stages.0.steps", "400", "--trainer.checkpoint-every", "2"]
    command = [sys.executable, "-m", "srl_edge", "train", str(recipe), *flags]
    running = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding_interrupts,
    )
    while not list((tmp_path / "run" / "train").glob("checkpoint-*")):
        assert running.poll() is None
        time.sleep(0.2)
    os.kill(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130 and "the same command goes on" in errors
    done = len((tmp_path / "run" / "train" / "metrics.jsonl").read_text().splitlines())
    flags[1] = str(done + 2)
    assert srl_edge("train", recipe, *flags).returncode == 0
    rows = (tmp_path / "run" / "train" / "metrics.jsonl").read_text().splitlines()
    steps = [r["step"] for r in map(json.loads, rows) if r["kind"] == "sft" and "loss" in r]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.skipif(os.name != "posix", reason="processes have no groups there")
def test_ctrl_c_while_a_stage_starts_is_one_sentence(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    command = [sys.executable, "-m", "srl_edge", "run"]
    path = write_recipe(tmp_path, tiny_model, word_problems)
    line = subprocess.Popen(
        [*command, str(path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heeding_interrupts,
    )
    assert line.stderr and "data: runs" in line.stderr.readline()
    os.killpg(line.pid, signal.SIGINT)  # as a terminal sends it
    said = "srl-edge: interrupted; the same command goes on from where it was.\n"
    assert line.stderr.read() == said
    assert line.wait() == 130


@pytest.mark.parametrize("sign", ["\x1b]0;owned\x07", "\x9b31m"])
def test_names_and_manifests_do_not_steer_the_terminal(
    sign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / f"a{sign}b"
    folder.mkdir()
    for command in (["inspect", folder], ["chat", folder], ["run", folder], ["data", folder]):
        done = srl_edge(*command)
        assert done.returncode == 2 and not {"\x1b", "\x9b", "\x07"} & set(done.stderr)
        assert "\ufffd" in done.stderr
    manifest = Artifact(folder, "onnx", "fp32", 1, {"base": {"name": sign}, "files": {}})
    monkeypatch.setattr("srl_edge.commands.inspect.load", lambda _: manifest)
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        progress.say(f"data: {folder}")
        with pytest.raises(SystemExit):
            cli.main(["inspect", str(folder)])
    for shown in (out.getvalue(), told.getvalue()):
        assert not {"\x1b", "\x9b", "\x07"} & set(shown) and shown
    assert "\ufffd" in told.getvalue()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc")])
def test_memory_that_does_not_suffice_is_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_command", command)
    with pytest.raises(SystemExit) as ended:
        cli.main(["chat", "x"])
    assert ended.value.code == 1 and "srl-edge: out of memory (" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "some"])
@pytest.mark.parametrize(
    "verb",
    [
        ["compare", "old", "new", "--slower"],
        ["chat", "model", "--temperature"],
        ["bench-tasks", "model", "--tasks", "t", "--out", "o", "--soak"],
        ["data", "generate", "problems", "--out", "o", "--timeout"],
    ],
)
def test_numbers_that_measure_nothing_are_refused(
    verb: list[str], value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*verb, value])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and f"a number of 0 or more is needed, not {value!r}" in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_folder_whose_name_is_not_utf_8_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "bad\udcff"
    folder.mkdir()
    (folder / "rows.jsonl").write_text('{"problem": "1 + 1?", "solution": "2"}\n')
    (folder / "r.toml").write_text(
        f'output = "{tmp_path}/run"\n[model]\nname = "m"\n[data]\nsource = "rows.jsonl"\n'
        '[[stages]]\nkind = "sft"\nsteps = 1\n'
    )
    done = srl_edge("data", folder / "r.toml")
    assert done.returncode == 2 and "is not UTF-8; rename what it names" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "run").exists()


def test_a_home_that_nobody_knows_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SRL_EDGE_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", unknown)
    with pytest.raises(InputError, match="no home of such a user is known"):
        cache_folder()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_cannot_be_said_ends_no_work(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    path = write_recipe(tmp_path, tiny_model, word_problems)
    with open("/dev/full", "w") as full:
        for verb, code in (("data", 0), ("rollouts", 2)):
            command = [sys.executable, "-m", "srl_edge", verb, str(path)]
            done = subprocess.run(command, stderr=full, stdout=subprocess.PIPE, check=False)
            assert done.returncode == code
    assert (tmp_path / "run" / "data" / "train.jsonl").is_file()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that somebody is in")
def test_a_current_folder_that_was_deleted_stops_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); " + (
        f"os.execv({sys.executable!r}, [{sys.executable!r}, '-m', 'srl_edge', '-V'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
