"""Whole replies: worked examples before a problem, other readings, several attempts."""

import csv
import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from srl_edge.cli import main
from srl_edge.devices.bench import figures, what
from srl_edge.devices.bench.shots import drawn, worked
from srl_edge.devices.hosts import local
from srl_edge.devices.runtimes.chat import Asked, Chat
from srl_edge.method.prompt_form import DEFAULT, PRESETS
from srl_edge.method.types import Trajectory
from srl_edge.method.voting import pass_at
from srl_edge.models.chat_template import NEXT_QUESTION
from srl_edge.recipe import Bench
from srl_edge.report.results import samples_file
from srl_edge.report.rows import Score
from tests.helpers.artifacts import artifact_of
from tests.helpers.foreign import InProcess, open_here

MATH = PRESETS["math"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local, "open_session", open_here)
    monkeypatch.setenv("SRL_EDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def rows(tmp_path: Path, word_problems: list[dict[str, str]]) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in word_problems[:12]))
    return file


@pytest.fixture
def run(rows: Path) -> Callable[..., int]:
    """The command with few tokens; its exit code."""

    def call(named: Path, out: Path, *more: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(
                [
                    "bench-tasks",
                    str(named),
                    "--tasks",
                    "animals",
                    "--data",
                    str(rows),
                    "--repeats",
                    "1",
                    "--max-new-tokens",
                    "24",
                    "--threads",
                    "1",
                    "--prompt-tokens",
                    "16",
                    "--decode-tokens",
                    "2",
                    "--out",
                    str(out),
                    *more,
                ]
            )
        return int(ended.value.code or 0)

    return call


def samples(out: Path, name: str, kind: str = "samples") -> list[dict[str, Any]]:
    date = json.loads((out / "settings.json").read_text())["date"]
    lines = samples_file(out, name, "animals", date, kind).read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda row: int(row["doc_id"]))


def test_attempts_drawn_in_batches_and_one_at_a_time_are_the_same(
    taught_model: Path, run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = shutil.copytree(taught_model, tmp_path / "taught")
    drawing = ("--limit", "5", "--samples", "4", "--temperature", "1.2")
    assert run(named, tmp_path / "together", *drawing) == 0
    monkeypatch.setattr(
        local, "open_session", lambda name, kind, path, threads: InProcess(kind, path, batch=1)
    )
    assert run(named, tmp_path / "alone", *drawing) == 0
    found = samples(tmp_path / "together", "taught")
    assert [row["resps"] for row in found] == [
        row["resps"] for row in samples(tmp_path / "alone", "taught")
    ]
    assert any(len(set(row["resps"][0])) > 1 for row in found)
    results = json.loads((tmp_path / "together" / "results.json").read_text())
    answers = results["rows"][0]["tasks"]["animals"]
    right = [round(4 * row["exact_match"]) for row in found]
    assert answers["pass_at"] == {
        str(k): pytest.approx(fmean(pass_at(k, 4, c) for c in right)) for k in (1, 2, 3, 4)
    }
    assert answers["pass_at"]["1"] == pytest.approx(answers["accuracy"])
    assert answers["majority"] == pytest.approx(fmean(row["majority"] for row in found))
    # lm-eval's readings, of the same replies.
    for name in ("strict-match", "flexible-extract"):
        shares = [row[f"exact_match,{name}"] for row in found]
        assert answers[name.partition("-")[0]] == pytest.approx(fmean(shares))
        assert all(len(row[f"filtered_resps,{name}"]) == 4 for row in found)
    (file,) = (tmp_path / "together" / "taught").glob("results_*.json")
    theirs = json.loads(file.read_text())["results"]["animals"]
    assert theirs["exact_match,flexible-extract"] == pytest.approx(answers["flexible"])
    assert theirs["maj@4,math-verify"] == pytest.approx(answers["majority"])
    assert theirs["pass@4,math-verify"] == pytest.approx(answers["pass_at"]["4"])
    with (tmp_path / "together" / "results.csv").open() as table:
        (flat,) = csv.DictReader(table)
    assert float(flat["animals_pass_at_4"]) == pytest.approx(answers["pass_at"]["4"], abs=1e-4)
    page = (tmp_path / "together" / "report.html").read_text()
    assert "pass@4" in page and "maj@4" in page and "strict match" in page
    once = samples(tmp_path / "together", "taught", "alone")
    assert [row["resps"][0][0] for row in once] == [row["resps"][0][0] for row in found[:4]]
    assert answers["batching"]["compared"] == 4 and answers["batching"]["differing"] == 0
    assert results["rows"][0]["tasks"]["animals"]["seconds_per_problem"] == pytest.approx(
        fmean(row["seconds"] for row in once)
    )


def test_columns_of_what_was_not_measured_are_left_out(
    tiny_model: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    """An artifact is asked step by step as its manifest says, and whole where that is asked for."""
    folder = artifact_of(tiny_model, tmp_path)
    assert run(folder, tmp_path / "own", "--limit", "2") == 0
    page = (tmp_path / "own" / "report.html").read_text()
    assert not any(each in page for each in ("pass@", "strict match", "told"))
    assert "step similarity" in page
    (row,) = json.loads((tmp_path / "own" / "results.json").read_text())["rows"]
    assert row["told"] == {} and row["tasks"]["animals"]["strict"] is None
    assert row["tasks"]["animals"]["step_similarity"]["steps"] > 0
    assert run(folder, tmp_path / "whole", "--limit", "2", "--reply", "whole") == 0
    (row,) = json.loads((tmp_path / "whole" / "results.json").read_text())["rows"]
    assert row["tasks"]["animals"]["strict"] == 0.0
    assert row["told"] == {"asked": "for one whole reply"}
    assert row["tasks"]["animals"]["step_similarity"] is None
    assert all(sample["replies"] == [1] for sample in samples(tmp_path / "whole", "onnx-fp32"))


def test_worked_examples_are_rows_that_are_not_measured(
    tiny_model: Path, run: Callable[..., int], rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(tiny_model, out, "--limit", "8", "--shots", "3") == 0
    asked = json.loads((out / "settings.json").read_text())
    shown, measured = asked["shots"]["animals"], asked["tasks"]["animals"]
    assert len(set(shown)) == 3 and not set(shown) & set(measured)
    assert run(tiny_model, tmp_path / "again", "--limit", "8", "--shots", "3") == 0
    again = json.loads((tmp_path / "again" / "settings.json").read_text())
    assert again["shots"] == asked["shots"]
    name = tiny_model.name
    (file,) = (out / name).glob("results_*.json")
    assert json.loads(file.read_text())["n-shot"] == {"animals": 3}
    assert run(tiny_model, out, "--limit", "8", "--shots", "2", "--resume") == 2
    others = tmp_path / "others.jsonl"
    others.write_text('{"problem": "1 + 1?", "solution": "Two.\\n#### 2"}\n')
    assert run(tiny_model, tmp_path / "o", "--shots", "1", "--shots-data", str(others)) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--limit", "10", "--shots", "3"), "3 worked examples are asked for, and 2 rows are not"),
        (("--shots", "1"), "1 worked examples are asked for, and 0 rows are not measured"),
        (("--shots", "-1"), "--shots: from 0 to 100"),
        (("--shots-data", "x"), "--shots-data: say with --shots how many"),
        (("--reply", "short"), "invalid choice: 'short'"),
    ],
)
def test_mistakes_with_examples(
    more: tuple[str, ...],
    said: str,
    tiny_model: Path,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(tiny_model, tmp_path / "out", *more) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_examples_need_whole_replies(
    tiny_model: Path, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = artifact_of(tiny_model, tmp_path)
    assert run(folder, tmp_path / "out", "--limit", "4", "--shots", "1") == 2
    assert "onnx-fp32: answers step by step, and worked examples are whole" in (
        capsys.readouterr().err
    )


EXAMPLES = [
    Trajectory("a", "1 + 1?", ("1 + 1 = 2.", "So 2."), "2"),
    Trajectory("b", "2 + 2?", (), "4"),
]


def test_examples_are_turns_that_mark_their_answer(tiny_model: Path) -> None:
    shots = worked(EXAMPLES, MATH)
    assert [solution for _, solution in shots] == [
        "1 + 1 = 2.\nSo 2.\nThe final answer is \\boxed{2}.",
        "The final answer is \\boxed{4}.",
    ]
    chat = Chat(tiny_model, Asked(MATH, True, shots))
    text = chat.decode(chat.prompt_ids("3 + 3?", []))
    assert text.count("<|im_start|>user\n") == 3 and text.count("<|im_start|>assistant\n") == 3
    assert text.index("1 + 1?") < text.index("\\boxed{2}") < text.index("3 + 3?")
    assert text.count("Please reason step by step") == 3
    assert text.endswith("<|im_start|>assistant\n")
    plain = Chat(tiny_model, Asked(MATH, True, shots, plain=True))
    text = plain.decode(plain.prompt_ids("3 + 3?", []))
    assert text.count("Question: ") == 3 and text.count(NEXT_QUESTION) == 2
    assert worked(EXAMPLES, DEFAULT)[0][1] == "<think></think>\n1 + 1 = 2.\nSo 2.\n#### 2"


def test_no_example_is_a_measured_problem() -> None:
    again = Trajectory("c", EXAMPLES[0].problem, (), "2")
    assert drawn([again, EXAMPLES[1]], EXAMPLES[:1], 1, "mine") == [EXAMPLES[1]]


def test_a_plain_reply_ends_where_the_model_asks_itself_the_next_question(
    tiny_model: Path,
) -> None:
    from srl_edge.devices.runtimes.chat import text_of

    plain = Chat(tiny_model, Asked(MATH, True, plain=True))
    ids = plain.encode(" It is 6.\n\nQuestion: 4 + 4?\nAnswer: 8")
    assert text_of(plain, ids, [2]) == (" It is 6.\n", True)
    assert text_of(Chat(tiny_model, Asked(MATH, True)), ids, [2])[1] is False


def test_own_way_tokens_are_the_length_of_whole_replies_unless_one_is_set(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = artifact_of(tiny_model, tmp_path)
    ours, theirs = what.models_of([folder, tiny_model], False, Bench())
    assert ours.asked is None and ours.max_new_tokens is None
    assert theirs.asked == what.WHOLE and theirs.max_new_tokens == 512
    both = what.models_of([folder, tiny_model], True, Bench(max_new_tokens=7))
    assert [model.max_new_tokens for model in both] == [7, 7]
    assert all(model.asked == what.WHOLE for model in both)


def test_an_artifact_of_whole_replies_is_given_as_many_tokens_as_others(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = artifact_of(tiny_model, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    asked = MATH.as_dict() | {"reply": "whole"}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"prompt": asked}))
    (ours,) = what.models_of([folder], False, Bench())
    assert ours.asked is None and ours.max_new_tokens == 512


def scored(correct: float, **more: Any) -> Score:
    base: dict[str, Any] = {
        "marked": 0.0,
        "seconds": 1.0,
        "joules": 2.0,
        "lost": "",
        "replies": 1,
        "characters": 5,
    }
    return Score(correct=correct, **base | more)


def test_what_was_lost_counts_as_wrong_in_every_reading() -> None:
    kept = scored(0.5, attempts=2, majority=1.0, strict=0.5, flexible=1.0)
    lost = scored(0.0, lost="gone", replies=0, attempts=0)
    found = figures.answers([kept, lost])
    assert (found.accuracy, found.strict, found.flexible) == (0.25, 0.25, 0.5)
    assert found.pass_at == {1: 0.25, 2: 0.5} and found.majority == 0.5
    formulas = [kept, scored(1.0, attempts=2)]  # of another kind: the filters cannot say
    assert figures.answers(formulas).strict is None
    assert figures.answers([lost]).strict is None and figures.answers([lost]).pass_at == {}


def test_attempts_that_were_cut_off_are_counted_among_all() -> None:
    lost = scored(0.0, lost="gone", replies=0, attempts=0)
    found = figures.answers([scored(1.0), scored(0.0, cut_off=1.0), scored(0.0, cut_off=0.5), lost])
    assert found.cut_off == 1.5 / 4


def test_what_one_problem_takes_is_measured_one_at_a_time() -> None:
    together = [scored(1.0, seconds=1.0, joules=1.0, batched=True) for _ in range(4)]
    alone = [(scored(1.0, seconds=4.0, joules=8.0), False), (scored(0.0, seconds=2.0), True)]
    found = figures.answers(together, None, alone)
    assert found.seconds_per_problem == 3.0 and found.joules_per_correct == 5.0
    assert found.batching is not None and found.batching.seconds == 1.0
    assert (found.batching.compared, found.batching.differing) == (2, 1)
    never_alone = figures.answers(together[:2])
    assert never_alone.batching is not None and never_alone.seconds_per_problem is None
    assert figures.answers([scored(1.0)]).batching is None


def test_models_act_in_worlds(tiny_model: Path, tmp_path: Path) -> None:
    """One without a manifest is told the commands, and asked for one at a time."""

    def acted(*more: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(
                [
                    "bench-tasks",
                    str(tiny_model),
                    "--tasks",
                    "agent-home",
                    "--limit",
                    "2",
                    "--repeats",
                    "1",
                    "--max-new-tokens",
                    "8",
                    "--max-steps",
                    "3",
                    "--threads",
                    "1",
                    "--prompt-tokens",
                    "16",
                    "--decode-tokens",
                    "2",
                    "--step-prompts",
                    "2",
                    "--out",
                    str(tmp_path / "out"),
                    *more,
                ]
            )
        return int(ended.value.code or 0)

    assert acted("--reply", "whole") == 2
    assert acted() == 0
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert row["told"]["asked"] == "to act, a command a reply"
    assert row["tasks"]["agent-home"]["accuracy"] == 0.0
    assert row["tasks"]["agent-home"]["step_similarity"]["equal"] == 0.0
    date = json.loads((tmp_path / "out" / "settings.json").read_text())["date"]
    file = samples_file(tmp_path / "out", tiny_model.name, "agent-home", date)
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(found) == 2 and all(len(each["observations"]) == 1 for each in found)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "the expert's step" in html.unescape(page)
    kinds = {each["doc"]["id"].partition("/")[0] for each in found}
    assert ("Solved, by kind" in page) == (len(kinds) > 1)
