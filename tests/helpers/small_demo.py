"""The demo with a tiny model, in seconds.

`python -m tests.helpers.small_demo FOLDER` makes the model and prints the settings.
"""

import sys
from pathlib import Path

SETTINGS = """
--data.validation_problems 4 --data.test_problems 4
--stages.0.steps 4 --stages.1.steps 1 --stages.1.group_size 4 --stages.1.max_rounds 2
--trainer.validation_prompts 2
--export.artifacts onnx-fp32 --check.prompts 2 --check.problems 0 --check.greedy_tokens 4
--bench.problems 1 --bench.own_way_problems 1 --bench.own_way_tokens 4 --bench.max_steps 1
--bench.max_new_tokens 4 --bench.repeats 1 --bench.prompt_tokens 16 --bench.decode_tokens 4
"""


def settings(model: Path) -> list[str]:
    """Arguments of `srl-edge demo`."""
    return ["--model.name", str(model), *SETTINGS.split()]


if __name__ == "__main__":
    from tests.helpers.models import make_model

    made = make_model("llama", Path(sys.argv[1]).resolve())
    print(" ".join(settings(made)))
