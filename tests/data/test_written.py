"""What `data` wrote is what every later stage reads."""

import json
import random
from pathlib import Path

import pytest

from srl_edge.data.trajectories import ParseReport, load, parse_rows, write_jsonl
from srl_edge.errors import InputError
from srl_edge.method.types import Trajectory

TAGS = ("<think>", "</think>", "<answer>5</answer>", "<|im_end|>", "</s>", "[THINK]", "<output>")


@pytest.mark.parametrize("seed", range(3))
def test_what_was_written_is_loaded_as_it_was(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    parts = (
        *TAGS,
        "### Head",
        "#### 5",
        "  t = 0",
        "\tx",
        " a",
        "---",
        "b\n",
        "\n\n",
        "\u2028",
        "",
    )
    kept = [
        Trajectory(
            f"{i}{draw.choice(['', '-2', ' '])}",
            draw.choice(parts),
            steps := tuple("".join(draw.choices(parts, k=3)) for _ in range(draw.randint(1, 5))),
            draw.choice((None, "", " 5\n", *TAGS)),
            draw.choice(((), steps)),
            draw.choice(((), steps)),
            draw.choice(((), ({"name": "f"},))),
            draw.choice((None, {"kind": "home", "goal": ["<think>"]})),
        )
        for i in range(200)
    ]
    assert load(write_jsonl(tmp_path / "t.jsonl", kept)) == kept


@pytest.mark.parametrize(
    "command",
    [
        "grep -rn '<think>' vllm/",
        "python -c \"print(t.split('</think>')[-1])\"",
        "printf 'a</s>'",
        "grep -rn '<|im_end|>' .",
    ],
)
def test_an_action_with_tags_is_loaded_as_it_was(tmp_path: Path, command: str) -> None:
    call = {"name": "bash", "arguments": json.dumps({"command": command})}
    turns = [
        {"role": "user", "content": "Fix it."},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": call}]},
        {"role": "tool", "tool_call_id": "1", "content": "ok"},
        {"role": "assistant", "content": "Done."},
    ]
    kept = list(parse_rows([{"messages": turns}], ParseReport()))
    assert len(kept) == 1 and command in str(kept[0].steps[0]).replace("\\", "")
    assert load(write_jsonl(tmp_path / "t.jsonl", kept)) == kept


def test_a_row_that_was_not_written_by_us_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"problem": "p", "solution": "a"}\n')
    with pytest.raises(InputError, match=r"t\.jsonl, row 1: no row that `srl-edge data` wrote"):
        load(tmp_path / "t.jsonl")
