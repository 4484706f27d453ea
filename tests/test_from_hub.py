"""A model and a dataset of a hub, by its real clients, from a hub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers.command_line import srl_edge
from tests.helpers.hub import COMMIT, hub

RECIPE = """output = "{run}"
[model]
name = "me/tiny"
[data]
source = "hf:me/rows"
validation_problems = 20
test_problems = 20
[trainer]
validation_problems = 2
own_way_problems = 0
[[stages]]
kind = "sft"
steps = 1
"""


def _row(number: int) -> str:
    result = 2 * number + 2
    return json.dumps(
        {
            "question": f"Tom has {number} apples and buys {number + 2} more. How many has he?",
            "answer": f"He buys {number + 2}.\n{number} + {number + 2} = {result}\n#### {result}",
        }
    )


def test_a_run_takes_its_model_and_its_data_from_a_hub(tiny_model: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(run=tmp_path / "run"))
    files = {file.name: file.read_bytes() for file in tiny_model.iterdir() if file.is_file()}
    elsewhere = {"consolidated.safetensors": b"x", "onnx/model.safetensors": b"x"}
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": ""}
    with hub() as there:
        there.files["me/tiny"] = files | elsewhere | {"pytorch_model.bin": b"x"}
        rows = "\n".join(map(_row, range(80)))
        there.files["me/rows"] = {"README.md": b"rows", "main/train.jsonl": rows.encode()}
        environment["HF_ENDPOINT"] = there.url
        made = srl_edge("data", recipe, env=environment)
        assert made.returncode == 0 and "80 GSM8K" in made.stderr, made.stderr
        assert json.loads((tmp_path / "run/data/report.json").read_text())["revision"] == COMMIT
        trained = srl_edge("train", recipe, env=environment)
        assert trained.returncode == 0, trained.stderr
        assert trained.stderr.count("model me/tiny: asking the hub") == 1
        taken = {line.rpartition("/")[2] for line in there.asked if "/me/tiny/resolve/" in line}
        assert taken <= files.keys() and "model.safetensors" in taken
    # The hub is gone; what was fetched is not.
    environment["HF_HUB_OFFLINE"] = "1"
    again = srl_edge("train", recipe, "--output", tmp_path / "other", env=environment)
    assert again.returncode == 2 and "srl-edge data" in again.stderr
    for verb in ("data", "train"):
        alone = srl_edge(verb, recipe, "--output", tmp_path / "other", env=environment)
        assert alone.returncode == 0, alone.stderr


def test_a_run_keeps_the_commit_that_it_began_with(tiny_model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "home" / "hub" / "models--me--tiny"
    for commit in ("a" * 40, "b" * 40):
        shutil.copytree(tiny_model, cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    code = (
        "import sys; from pathlib import Path; from srl_edge import recipe\n"
        "from srl_edge.exporters.subject import of_run\n"
        "chosen = recipe.load(Path(sys.argv[1]), ['--output', sys.argv[2]])\n"
        "print(of_run(chosen, chosen.run).base.name[0])"
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(run=tmp_path / "run"))

    def base(run: Path) -> str:
        run.mkdir(exist_ok=True)
        command = [sys.executable, "-c", code, str(recipe), str(run)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    (cache / "refs" / "main").write_text("a" * 40)
    assert base(tmp_path / "run") == "a"
    (cache / "refs" / "main").write_text("b" * 40)  # the hub has a newer one
    assert base(tmp_path / "run") == "a" and base(tmp_path / "other") == "b"
    recipe.write_text(recipe.read_text().replace("me/tiny", str(tiny_model)))
    assert base(tmp_path / "run") == tiny_model.name[0]


def test_a_hub_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    environment = os.environ | {
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "1",
    }
    words = ("--model", "me/tiny", "--artifacts", "onnx-int4", "--out", tmp_path / "out")
    failed = srl_edge("export", *words, env=environment)
    assert failed.returncode == 2 and not (tmp_path / "out").exists()
    said = [line for line in failed.stderr.splitlines() if not line.startswith("model me/tiny")]
    assert len(said) == 1 and "the hub gave none" in said[0]
