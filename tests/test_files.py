"""Every reader of a file, on thousands of damaged ones: a sentence or a value, no traceback."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srl_edge import artifact, recipe
from srl_edge.data import trajectories
from srl_edge.data.formats import rows_of
from srl_edge.devices.bench import tasks
from srl_edge.devices.runtimes import genai_config
from srl_edge.errors import InputError
from srl_edge.files import (
    file_sha256,
    fingerprint,
    named_in,
    place,
    read_json,
    read_json_if_there,
    read_rows,
    read_text,
    remove_tree,
)
from srl_edge.models import adapter_folder, chat_template
from srl_edge.models.catalog import config_of
from srl_edge.models.tokenizer import stop_ids
from srl_edge.report import parity_rows, rows
from tests.helpers.reports import parity_row

TIMES = int(os.environ.get("SRL_EDGE_MUTATIONS", "1500"))  # 20,000 once, by hand
SPEED = {"mean": 1.0, "std": 0.0, "p50": 1.0, "p95": 1.0}
ANSWERS = {
    "problems": 1,
    "lost": 0,
    "accuracy": 1.0,
    "accuracy_interval": [0.0, 1.0],
    "marked": 1.0,
    "seconds_per_problem": 1.0,
    "joules_per_correct": None,
    "reply_characters": 9.0,
}
MODEL_ROW = {
    "name": "a",
    "backend": "onnx",
    "size_mb": 1.0,
    "load_seconds": 1.0,
    "time_to_first_token": SPEED,
    "prefill_tokens_per_second": SPEED,
    "decode_tokens_per_second": SPEED,
    "joules_per_token": None,
    "prompt_tokens": 3,
    "peak_memory_mib": 5.0,
    "load_average": None,
    "machine": {},
    "state": {},
    "tasks": {"held-out": ANSWERS},
}
UNTOLD = dict.fromkeys(("load", "celsius", "battery", "governor"))
PLACE = {"stage": 0, "kind": "srl", "step": 1}
# What a file holds, as srl-edge or a hub writes it, by the shape that its reader asks for.
VALUES: dict[str, Any] = {
    "Manifest": {
        "format": "onnx",
        "quantization": "int8",
        "context_length": 8,
        "adapter": "merged",
        "files": {"config.json": {"bytes": 2, "sha256": "0" * 64}},
        "options": {},
    },
    "Adapter": {"r": 4, "lora_alpha": 8, "use_rslora": False, "base_model_name_or_path": "x"},
    "MlxAdapter": {"fine_tune_type": "lora", "lora_parameters": {"rank": 4, "scale": 2.0}},
    "ModelConfig": {"model_type": "llama", "eos_token_id": [1, 2], "hidden_size": 64},
    "Generation": {"eos_token_id": 2},
    "Tokenizer": {"chat_template": "{{ messages }}", "bos_token": {"content": "<s>"}},
    "TrainerState": {
        "cursor": {"stage": 0, "step": 1, "prompts": 8, "best": -1e9, "worse": 0},
        "log_bytes": {"metrics.jsonl": 7},
        "settings": {"seed": 0},
    },
    "Stages": {"data": {"seed": 0}},
    "Texts": {"quantization": "nf4"},
    "Choice": {"into": "original"},
    "Marker": {"files": {"a": ["0" * 64]}},
    "Holder": {"process": 1, "since": "12:00:00"},
    "BenchSettings": {"date": "2026-01-01T00-00-00"},
    "Soak": {"a": [{"minutes": 0.1, "tokens_per_second": 3.0, "celsius": None, "battery": 80.0}]},
    "BenchSample": {
        "doc_id": 0,
        "exact_match": 1.0,
        "marked": 1.0,
        "seconds": 0.5,
        "joules": None,
        "lost": "",
        "replies": [1],
        "resps": [["x"]],
    },
    "StepSample": {"id": "a", "step": 0, "lost": "", "similarity": 0.5, "fault": ""},
    "Metrics": PLACE | {"loss": 0.5, "eval_best": 1.0},
    "RolloutRow": PLACE
    | {
        "trajectory_id": "a",
        "step_index": 0,
        "rollout": 0,
        "problem": "p",
        "previous_steps": [],
        "expert_action": "e",
        "completion": "c",
        "finished": True,
        "reward": 0.5,
        "parts": {"format": 1.0},
        "fault": "",
    },
    "DataReport": {
        "read": 2,
        "kept": 1,
        "dropped": {"x": 1},
        "source": "f",
        "splits": {"train": {"problems": 1, "steps": 2}},
    },
    "Loaded": {"load_seconds": 0.1, "batch": 1, "machine": {}, "state": UNTOLD},
    "Answered": {
        "replies": [{"ids": [1], "first_seconds": 0.1, "seconds": 0.2}],
        "state": UNTOLD,
        "peak_memory_mib": 3.0,
        "energy_joules": None,
    },
}
RESULTS = {"date": "d", "device": {"threads": 1}, "settings": {}, "rows": [MODEL_ROW], "gain": {}}
GENAI = {
    "model": {
        "type": "llama",
        "eos_token_id": [2],
        "decoder": {"filename": "model.onnx", "session_options": {"provider_options": []}},
    },
    "search": {"top_k": 50},
}
TRAJECTORY = {"problem": "p", "solution": "a = 1\nb = 2\n#### 2", "id": 1}
TASK = {"question": "q", "answer": "a = 2\n#### 2", "steps": ["a", "b"], "id": "x"}
CHAT = {
    "conversations": [
        {"from": "human", "value": "q"},
        {"from": "gpt", "value": "<think>t</think>a\n$b$. C"},
    ]
}
LABELLED = {
    "question": {"problem": "p", "ground_truth_answer": "2"},
    "label": {
        "finish_reason": "solution",
        "steps": [
            {"completions": [{"text": "a"}], "human_completion": None, "chosen_completion": 0},
            {"completions": [], "human_completion": {"text": "b"}, "chosen_completion": None},
        ],
    },
}
CSV = 'problem,steps,answer,thought\np,"[""a"", ""b""]",5.0,\nq,"[\'a\']",x,"t\nu"\n'
RECIPE = """output = "run"
[model]
name = "m"
[[stages]]
kind = "srl"
steps = 2
reward = { characters = 1.0, "rewards.py:mine" = 2 }
"""


def reader(shape: str) -> Callable[[Path], Any]:
    rowed = ("BenchSample", "StepSample", "Metrics", "RolloutRow")
    return lambda file: (read_rows if shape in rowed else read_json)(file, shape)


# By name: the file's name, its sound contents, and what reads it.
READERS: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    shape: ("file.json", json.dumps(value) + "\n", reader(shape)) for shape, value in VALUES.items()
} | {
    "results": ("results.json", json.dumps(RESULTS), lambda file: rows.read(file.parent)),
    "parity": (
        "onnx-int8.json",
        json.dumps(parity_rows.as_json(parity_row("onnx-int8", 0.98, 0.95))),
        parity_rows.read,
    ),
    "genai": (
        "genai_config.json",
        json.dumps(GENAI),
        lambda file: genai_config.read_config(file.parent),
    ),
    "artifact": (
        "manifest.json",
        json.dumps(VALUES["Manifest"]),
        lambda file: artifact.load(file.parent),
    ),
    "trajectories": (
        "rows.jsonl",
        (json.dumps(TRAJECTORY) + "\n") * 2,
        lambda file: list(trajectories.parse_rows(rows_of(file), trajectories.ParseReport())),
    ),
    "chats": (
        "rows.jsonl",
        json.dumps(CHAT) + "\n" + json.dumps(LABELLED) + "\n",
        lambda file: list(trajectories.parse_rows(rows_of(file), trajectories.ParseReport())),
    ),
    "csv": (
        "rows.csv",
        CSV,
        lambda file: list(trajectories.parse_rows(rows_of(file), trajectories.ParseReport())),
    ),
    "tasks": (
        "rows.jsonl",
        (json.dumps(TASK) + "\n") * 2,
        lambda file: tasks.problems("mine", file, None),
    ),
    "task array": (
        "rows.json",
        json.dumps([TASK]),
        lambda file: tasks.problems("mine", file, None),
    ),
    "recipe": ("recipe.toml", RECIPE, recipe.load),
    "model": (
        "config.json",
        json.dumps(VALUES["ModelConfig"]),
        lambda file: (config_of(str(file.parent)), stop_ids(file.parent)),
    ),
    "adapter": (
        "adapter_config.json",
        json.dumps(VALUES["Adapter"]),
        lambda file: adapter_folder.pairs(file.parent),
    ),
    "template": (
        "tokenizer_config.json",
        json.dumps(VALUES["Tokenizer"]),
        lambda file: chat_template.of_folder(file.parent).render([]),
    ),
    "jinja": (
        "chat_template.jinja",
        "{% for m in messages %}{{ m.content }}{% endfor %}{{ 3 }}",
        lambda file: chat_template.of_folder(file.parent).render([]),
    ),
}
NONSENSE = [
    "1",
    "null",
    "[]",
    "{}",
    '""',
    "true",
    "-1",
    "1e999",
    "NaN",
    "[[[]]]",
    '"\\ud800"',
    "9" * 5000,
    "[" * 100_000,
    '{"a":' * 50_000,
    "\x00",
    "\u2028",
    "\ufeff",
]


def mutated(sound: str, number: int) -> bytes:
    """A damaged file: the first ones are whole values of another kind, the rest are drawn."""
    if number < len(NONSENSE):
        return NONSENSE[number].encode("utf-8", "surrogatepass")
    draw = random.Random(number)
    data = bytearray(sound.encode())
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(6):
            case 0:
                del data[at : at + draw.randint(1, 12)]
            case 1:
                data[at:at] = bytes(draw.randrange(256) for _ in range(draw.randint(1, 3)))
            case 2:
                data[at:at] = draw.choice(NONSENSE[:11]).encode("utf-8", "surrogatepass")
            case 3:
                del data[at:]
            case 4:
                end = at + draw.randint(1, 8)
                data[at:end] = draw.choice((b'"', b"{", b"}", b"[", b"]", b",", b":", b"5", b"\n"))
            case _:
                start = draw.randrange(len(data) + 1)
                data[at:at] = data[start : start + draw.randint(1, 20)]
    return bytes(data)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_one_sentence_or_a_value(name: str, tmp_path: Path) -> None:
    file_name, sound, read = READERS[name]
    file, refused = tmp_path / file_name, 0
    if name == "jinja":
        (tmp_path / "tokenizer_config.json").write_text("{}")
    if name == "artifact":
        (tmp_path / "config.json").write_text("{}")
    for number in range(TIMES):
        file.write_bytes(mutated(sound, number))
        start = time.monotonic()
        try:
            read(file)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error).strip() or name in ("recipe", "template", "jinja"), error
        assert time.monotonic() - start < 20
    assert refused > TIMES / 20


@pytest.mark.parametrize("shape", VALUES)
def test_a_sound_file_is_read(shape: str, tmp_path: Path) -> None:
    name, sound, read = READERS[shape]
    (tmp_path / name).write_text(sound)
    found = read(tmp_path / name)
    assert found == VALUES[shape] or found == [VALUES[shape]]


def test_the_sentence_names_the_file_the_place_and_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    for text, words in (
        ('{"format": "on', "not JSON (Unterminated string"),
        ("{}", "format: field required"),
        ('{"format": 5}', "format: input should be a valid string"),
        ("[" * 100_000, "nested too deeply"),
        ("\udcff", "not UTF-8"),
    ):
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError) as raised:
            read_json(file, "Manifest")
        assert str(raised.value).startswith(f"{file}: {words}")
        assert "set it back, or delete it" in str(raised.value)
    assert read_json_if_there(tmp_path / "absent.json", "Manifest") is None


def test_a_row_that_is_being_written_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    row = json.dumps(VALUES["Metrics"])
    (tmp_path / "rows").write_text(f"{row}\n{row}\n" + row[:9])
    assert len(read_rows(tmp_path / "rows", "Metrics")) == 2
    (tmp_path / "rows").write_text(f"{row}\n{{}}\n{row}\n")
    with pytest.raises(InputError, match="rows, line 2: "):
        read_rows(tmp_path / "rows", "Metrics")
    assert read_rows(tmp_path / "absent", "Metrics") == []


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r"])
def test_rows_end_at_line_feeds_alone(separator: str, tmp_path: Path) -> None:
    text = f"one{separator}two"
    row = VALUES["BenchSample"] | {"resps": [[text]]}
    file = tmp_path / "samples.jsonl"
    file.write_text(f"{json.dumps(row, ensure_ascii=False)}\n" * 2, newline="")
    assert [found["resps"] for found in read_rows(file, "BenchSample")] == [[[text]]] * 2
    task = json.dumps({"problem": text, "answer": "5"}, ensure_ascii=False)
    file.write_text(f"{task}\n" * 2, newline="")
    whole = text.replace("\r", "\n")
    assert [found.problem for found in tasks.problems("mine", file)] == [whole] * 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(InputError, match="a pipe or a device, and no file"):
        read_json(tmp_path / "manifest.json", "Manifest")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to a file's size")
@pytest.mark.parametrize(
    "code",
    [
        "from srl_edge.files import replace; replace(file, text)",
        "from srl_edge.trainers.loop import logs; logs._append(file, [{'a': text}])",
        "from srl_edge.data.trajectories import write_jsonl; from srl_edge.method.types import "
        "Trajectory; write_jsonl(file, [Trajectory('a', text, ('b',), None)])",
    ],
)
def test_a_disk_that_is_full_is_told_with_the_file(code: str, tmp_path: Path) -> None:
    program = (
        "import sys, resource; from pathlib import Path; from srl_edge import cli\n"
        "def command(_):\n"
        f"    file, text = Path(sys.argv[1]), 'x' * 99_999\n    {code}\n"
        "cli._command = command\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "cli.main(['data'])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"srl-edge: {tmp_path / 'out.jsonl'}: File too large.\n"


MEMORY = Path("/proc/self/mem")  # a file whose first byte cannot be read


@pytest.mark.skipif(not MEMORY.is_file(), reason="no such file on this system")
@pytest.mark.parametrize(
    "read",
    [
        file_sha256,
        fingerprint,
        read_text,
        lambda file: read_json(file, "Json"),
        lambda file: read_rows(file, "Json"),
        lambda file: list(rows_of(file)),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_named(read: Callable[[Path], Any]) -> None:
    with pytest.raises(OSError) as raised:
        read(MEMORY)
    assert named_in(raised.value) == str(MEMORY)


def test_an_error_names_the_path_that_the_user_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.html"
    scratch = tmp_path / f".srl-edge-scratch-1-{place()}-1-report.html"
    for given, said in (
        ((str(file),), file),
        ((str(scratch), None, str(file)), file),
        ((str(file), None, str(scratch)), file),
        ((str(scratch),), tmp_path),
        ((str(scratch / "data" / "train.jsonl"),), tmp_path),
        ((scratch.name,), "."),
        ((), None),
    ):
        error = OSError(1, "Operation not permitted", *given)
        assert named_in(error) == (said and str(said))
    folder = tmp_path / "inner" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.txt").touch()

    def refused(path: str, **_: int) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(PermissionError) as raised:
        remove_tree(tmp_path / "inner")
    assert (named_in(raised.value) or "").startswith(str(tmp_path / "inner"))
