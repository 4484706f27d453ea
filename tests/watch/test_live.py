"""A real training of a tiny model, looked at while it goes on; and the command itself."""

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from srl_edge import line, recipe
from srl_edge.errors import InputError
from srl_edge.watch import server
from srl_edge.watch.run import Run
from tests.helpers.command_line import called, heeding_interrupts, write_recipe
from tests.helpers.watching import add, asked, rollout, served, trained

STEPS = 6


def test_the_page_shows_the_newest_step_of_a_training(
    tmp_path: Path, tiny_model: Path, word_problems: list[dict[str, str]]
) -> None:
    file = write_recipe(tmp_path, tiny_model, word_problems)
    flags = ["--trainer.own_way_problems", "0", "--trainer.validation_problems", "0"]
    flags += ["--trainer.validation_prompts", "1", "--trainer.threads", "1"]
    settings = recipe.load(file, flags)
    stage = settings.stages[0].model_copy(update={"steps": STEPS, "max_new_tokens": 2})
    settings = settings.model_copy(update={"stages": (stage,)})
    training = threading.Thread(target=_train, args=(settings,))
    seen: set[str] = set()
    with served([Run(file)]) as url:
        assert 'class="pill waiting"' in asked(url)[1]
        training.start()
        while training.is_alive():
            text = asked(f"{url}/live")[1]
            seen |= set(re.findall(r'<span class="pill (\w+)"', text))
            seen |= set(re.findall(r"loss, (sft step \d+)", text))
            time.sleep(0.02)
        training.join()
        text = asked(url)[1]
    assert f"loss, sft step {STEPS}" in text and f"{STEPS}/{STEPS}" in text
    assert 'class="pill finished"' in text and "training" in seen
    assert len({each for each in seen if each.startswith("sft")}) >= 2


def _train(settings: recipe.Recipe) -> None:
    for stage in ("data", "train"):
        line.run_stage(settings, stage)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_at_once(number: int, tmp_path: Path) -> None:
    add(tmp_path / "train" / "metrics.jsonl", trained(1))
    add(tmp_path / "train" / "rollouts.jsonl", rollout(1))
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*.jsonl")}
    command = [sys.executable, "-m", "srl_edge", "watch", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding_interrupts,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert asked(url)[0] == 200
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "Ctrl-C ends it" in said and "Traceback" not in said
    # Nothing was written, and nothing else is there.
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*.jsonl")}
    assert after == before == {p: after[p] for p in tmp_path.rglob("*") if p.is_file()}


def test_mistakes_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no run is there; give a run folder or a recipe"):
        called("watch", tmp_path)
    add(tmp_path / "train" / "metrics.jsonl", trained(1))
    with server.bound(0) as taken, pytest.raises(InputError, match="give another one, or 0"):
        called("watch", tmp_path, "--port", taken.getsockname()[1])
    assert capsys.readouterr().out == ""


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    add(tmp_path / "train" / "metrics.jsonl", trained(1))
    code = (
        "import sys; sys.modules['uvicorn'] = None;"
        "from srl_edge.cli import main; main(['watch', sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    said = "watch needs Starlette and uvicorn: pip install 'srl-edge[serve]'."
    assert done.returncode == 2 and done.stderr == f"srl-edge: {said}\n"
