"""`srl-edge rollouts`: which replies are shown, and how."""

import json
from pathlib import Path
from typing import Any

import pytest

from srl_edge.cli import main
from srl_edge.errors import InputError
from srl_edge.method.rewards import matching_blocks, step_reward
from srl_edge.method.types import Rollout, StepPrompt
from srl_edge.terminal.rollouts import choose, marked, read_step

EXPERT = "Ann pays 3 * 4 = 12 dollars."
STEPS = [f"step {i} of the expert" for i in range(1, 6)]


def row(completion: str, step: int = 1, number: int = 0, **other: Any) -> dict[str, Any]:
    prompt = StepPrompt(other.get("trajectory_id", "t1"), 5, "How [b]much[/b]?", (), EXPERT)
    reward = step_reward(Rollout((1,), (2,), (0.0,), completion, True), prompt, guards=True)
    return {
        "stage": 0,
        "kind": "srl",
        "step": step,
        "trajectory_id": prompt.trajectory_id,
        "step_index": 5,
        "rollout": number,
        "problem": prompt.problem,
        "previous_steps": STEPS,
        "expert_action": EXPERT,
        "completion": completion,
        "finished": True,
        "reward": reward.total,
        "parts": dict(reward.parts),
        "fault": reward.fault,
    } | other


def think(action: str) -> str:
    return f"<think>price times number</think>\n{action}"


ROWS = [
    row(think("an early reply"), 1),
    row(think("Ann pays 13 dollars."), 2, 0),
    row(think("Ann pays 3 * 4 = 12 dollars!"), 2, 1),
    row("no thought at all", 2, 2),
    row(think("She pays."), 2, 0, trajectory_id="t2"),
    row(think("Ann pays 12.\nSo 12."), 2, 1, trajectory_id="t2"),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "train").mkdir()
    lines = "".join(json.dumps(r) + "\n" for r in ROWS)
    # The unfinished line is what a training process may be writing.
    (tmp_path / "train" / "rollouts.jsonl").write_text(lines + '{"stage": 0, "st')
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["rollouts", *map(str, arguments)])
    said = capsys.readouterr()
    assert stop.value.code == code, said.err
    return said.out if code == 0 else said.err


def test_the_newest_step_is_shown_best_and_worst_of_each_group(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(capsys, run)
    order = ["12 dollars!", "no thought at all", "She pays.", "So 12."]
    assert [out.index(text) for text in order] == sorted(out.index(text) for text in order)
    assert "an early reply" not in out and "13 dollars" not in out
    assert "srl step 2  t1, step 6  reward +0.964 (format 1.000, similarity 0.964)" in out
    assert "How [b]much[/b]?" in out and "price times number" in out
    assert "5. step 5 of the expert" in out and "2. step 2" not in out
    assert "fault: not exactly one think span" in out and "fault: more than one step" in out
    assert "\x1b" not in out and "green" not in out


def test_a_step_a_pick_and_a_limit_can_be_asked_for(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "an early reply" in shown(capsys, run, "--step", 1)
    best = shown(capsys, run, "--best")
    assert best.index("12 dollars!") < best.index("She pays.")
    assert "fault" not in best
    assert shown(capsys, run, "--worst").count("fault: ") == 2
    assert shown(capsys, run, "--worst", "--limit", 1).count("fault: ") == 1
    assert "t2" not in shown(capsys, run, "--limit", 1)


def test_wide_terminals_show_the_texts_side_by_side(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines_with_both() -> int:
        out = shown(capsys, run, "--best", "--limit", 1)
        return sum(EXPERT in line and "12 dollars!" in line for line in out.splitlines())

    monkeypatch.setenv("COLUMNS", "100")
    assert lines_with_both() == 1
    monkeypatch.setenv("COLUMNS", "99")
    assert lines_with_both() == 0


def test_a_terminal_gets_colours(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = shown(capsys, run, "--best", "--limit", 1)
    assert "\x1b[1;32mAnn pays 3 * 4 = 12 dollars\x1b[0m\x1b[31m!" in out
    assert "what matches is green" in shown(capsys, run)


def test_equal_text_is_green_and_nothing_is_lost() -> None:
    model = "Ann pays 12 dollar bills."
    blocks = matching_blocks(model, EXPERT)
    for text, spans in (
        (model, [(a, n) for a, _, n in blocks]),
        (EXPERT, [(b, n) for _, b, n in blocks]),
    ):
        out = marked(text, spans, "red")
        assert out.plain == text
        green = "".join(text[s.start : s.end] for s in out.spans if s.style == "bold green")
        assert green == "".join(model[a : a + n] for a, _, n in blocks)
        assert sum(s.end - s.start for s in out.spans) == len(text)


def test_of_a_step_that_several_stages_have_the_newest_stages_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    rows = [row("a", 1, stage=1), row("b", 2, stage=1), row("c", 1, stage=2)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert [r["completion"] for r in read_step(path)] == ["c"]
    assert [r["completion"] for r in read_step(path, 1)] == ["c"]
    assert [r["completion"] for r in read_step(path, 2)] == ["b"]


def test_a_solution_is_shown_by_its_last_reply_and_equal_rewards_once() -> None:
    solution = {"kind": "rlvr", "expert_action": "", "fault": ""}
    first = [row("1a", 1, 0, reward=0.0, **solution), row("1b", 1, 0, reward=0.0, **solution)]
    second = [row("2a", 1, 1, reward=1.0, **solution), row("2b", 1, 1, reward=1.0, **solution)]
    found = choose([*first, *second, *first], None, 9)
    assert [r["completion"] for r in found] == ["2b", "1b", "1b"]


def test_a_solution_has_no_expert_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").mkdir()
    line = json.dumps(row(think("So 12.\n#### 12"), kind="rlvr", expert_action="", fault=""))
    (tmp_path / "train" / "rollouts.jsonl").write_text(line + "\n")
    out = shown(capsys, tmp_path)
    assert "#### 12" in out and "expert  " not in out.replace("of the expert", "")


def test_mistakes_are_one_sentence(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = shown(capsys, run / "nowhere", code=2)
    assert "rollouts.jsonl: no such file; run `srl-edge train`" in absent
    assert "no step 9; the newest is step 2." in shown(capsys, run, "--step", 9, code=2)
    assert "at least 1" in shown(capsys, run, "--limit", 0, code=2)
    assert "not allowed with" in shown(capsys, run, "--best", "--worst", code=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("nope\n", "line 1: not JSON"),
        ('{"step": 1}\n', "line 1: stage: field required"),
        ("[]\n", "line 1: the whole: input should"),
    ],
)
def test_files_that_cannot_be_read(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_step(path)
