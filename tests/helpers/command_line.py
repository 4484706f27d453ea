"""The command line as a user calls it, and a recipe for it."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from srl_edge.commands.outcome import Outcome
from srl_edge.commands.parser import file_of

RECIPE = """
output = "{run}"
[model]
name = "{model}"
[data]
source = "{data}"
validation_problems = 4
test_problems = 4
[trainer]
dtype = "float32"
lora_rank = 16
own_way_tokens = 32
[[stages]]
kind = "sft"
steps = 3
prompts_per_step = 8
learning_rate = 1e-3
targets = "all"
[[stages]]
kind = "srl"
steps = 2
prompts_per_step = 2
group_size = 4
learning_rate = 1e-3
targets = "all"
max_rounds = 10
[export]
artifacts = ["onnx-fp32", "onnx-int8", "executorch-fp32"]
context_length = 512
[check]
prompts = 4
greedy_tokens = 16
agreement = {{ fp32 = 0.99, int8 = 0.5 }}
[bench]
problems = 3
max_steps = 2
own_way_tokens = 32
prompt_tokens = 32
decode_tokens = 4
repeats = 2
"""


def write_recipe(folder: Path, model: Path, rows: list[dict[str, str]]) -> Path:
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(run=folder / "run", model=model, data=data))
    return path


def srl_edge(
    *arguments: object, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "srl_edge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def called(verb: str, *arguments: object) -> Outcome:
    """A verb in this process; its mistakes are raised."""
    command = file_of(verb)
    chosen, settings = command.parser().read(list(map(str, arguments)))
    outcome: Outcome = command.run(chosen, settings)
    return outcome


def heeding_interrupts() -> None:
    """For a child: a shell starts background jobs with interrupts ignored, which is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
