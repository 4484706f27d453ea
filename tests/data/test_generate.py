"""Trajectories from an endpoint are verified, and what goes wrong there is counted."""

import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data import generate as module
from srl_edge.data.endpoint import key_for
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.errors import InputError, StageError
from srl_edge.method.prompt_form import PRESETS
from tests.helpers.command_line import called
from tests.helpers.endpoint import Brain, endpoint
from tests.helpers.listening import listening

PROBLEMS = [{"id": f"p{n}", "problem": f"What is {n} + 1?", "answer": n + 1} for n in range(6)]


def solving(chat: list[dict[str, str]]) -> str:
    number = int(re.findall(r"What is (\d+)", chat[-1]["content"])[0])
    said = {3: 77}.get(number, number + 1)
    return f"1. **Sum**: {number} + 1 = {said}.\n2. **Answer**: it is \\boxed{{{said}}}."


def generated(
    tmp_path: Path, brain: Brain, *flags: str, source: str = ""
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(p) + "\n" for p in PROBLEMS))
    out = tmp_path / "made" / "rows.jsonl"
    with endpoint(brain) as url:
        name = source or str(tmp_path / "problems.jsonl")
        called("data generate", name, "--url", url, "--model", "m", "--out", str(out), *flags)
    failed = out.with_name("rows.jsonl.failed")
    kept, left_out = (
        [json.loads(line) for line in file.read_text().splitlines()] for file in (out, failed)
    )
    return kept, left_out


def test_what_is_right_is_kept_as_rows_and_the_rest_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, failed = generated(tmp_path, solving, "--price", "1", "2")
    assert sorted(row["id"] for row in kept) == ["p0#0", "p1#0", "p2#0", "p4#0", "p5#0"]
    assert [(row["id"], row["why"]) for row in failed] == [
        ("p3#0", "a solution that ends in another answer than the row's")
    ]
    rows = list(parse_rows(kept, ParseReport()))
    assert rows[0].steps[0].startswith("1. **Sum**") and len(rows) == 5
    said = capsys.readouterr().err
    assert "5 trajectories kept; 1 not (1 for a solution that ends in another answer" in said
    assert "60 tokens read, 30 written, which cost 0.0001." in said


def test_a_copy_of_the_question_is_no_solution(tmp_path: Path) -> None:
    def copying(chat: list[dict[str, str]]) -> str:
        number = re.findall(r"What is (\d+)", chat[-1]["content"])[0]
        return f"1. **Sum**: {number} + 1.\n2. **Answer**: it is \\boxed{{{number} + 1}}."

    kept, failed = generated(tmp_path, copying)
    assert not kept
    assert {row["why"] for row in failed} == {"no final answer, or another than the right one"}


def test_what_is_there_is_not_asked_for_again(tmp_path: Path) -> None:
    generated(tmp_path, solving, "--count", "2")
    asked: list[str] = []

    def counting(chat: list[dict[str, str]]) -> str:
        asked.append(chat[-1]["content"])
        return solving(chat)

    rows = tmp_path / "made" / "rows.jsonl"
    rows.write_bytes(rows.read_bytes() + b'{"id": "p2#0", "prob')  # cut off while it was written
    kept, _ = generated(tmp_path, counting)
    assert len(asked) == 4 and len(kept) == 5


@pytest.mark.parametrize("solves", [True, False])
def test_rows_of_another_model_are_not_gone_on_with(solves: bool, tmp_path: Path) -> None:
    before = generated(tmp_path, solving if solves else lambda chat: "no idea")
    with pytest.raises(InputError, match=r"rows.jsonl: was made with the model m, and other would"):
        generated(tmp_path, solving, "--model", "other")
    assert generated(tmp_path, lambda chat: pytest.fail("was asked again")) == before


def test_a_model_that_never_replied_keeps_no_other_from_being_asked(tmp_path: Path) -> None:
    with pytest.raises(StageError):
        generated(tmp_path, lambda chat: 404, "--model", "misspelled", "--workers", "6")
    assert len(generated(tmp_path, solving)[0]) == 5


def test_an_equal_solution_is_kept_once(tmp_path: Path) -> None:
    kept, failed = generated(tmp_path, solving, "--count", "1", "--samples", "3")
    assert len(kept) == 1
    assert [row["why"] for row in failed] == ["the same solution again"] * 2


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (None, "no reply within 1 s"),
        (404, "status 404"),
        (b"not json", "a reply of another form"),
        (b"{}", "a reply of another form"),
        (b'{"choices": [{"message": {"content": null}}]}', "a reply without text"),
        (b'{"choices": [{"message": {"content": "\\ud800"}}]}', "a reply without text"),
        (b"[" * 100_000, "a reply of another form"),
    ],
)
def test_an_endpoint_that_does_not_answer_ends_it(
    reply: int | bytes | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srl_edge.data.endpoint._WAIT", 0.01)
    flags = ("--timeout", "1", "--workers", "6", "--count", "6")
    with pytest.raises(StageError, match=rf"5 requests in a row had no reply \({why}\); 0 traj"):
        generated(tmp_path, lambda chat: reply, *flags)
    kept, _ = generated(tmp_path, solving)
    assert len(kept) == 5  # those that had no reply are asked again


def test_nothing_listens_there(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(p) + "\n" for p in PROBLEMS))
    flags = ["--url", "http://127.0.0.1:9/v1", "--model", "m", "--out", str(tmp_path / "r.jsonl")]
    with pytest.raises(StageError, match="no connection"):
        called("data generate", str(tmp_path / "p.jsonl"), *flags)


def test_tasks_in_a_world_are_kept_where_the_goal_is_reached(tmp_path: Path) -> None:
    tasks = module.problems_of("agent-home", 8, 0)
    wrong = tasks[0].problem

    def acting(chat: list[dict[str, str]]) -> str:
        asked = chat[-1]["content"]
        task = next(t for t in tasks if f"Task: {t.problem}\n" in asked)
        done = asked.count("\n> ")
        if task.problem == wrong:
            return "done"
        return f"<think>step {done}</think>\n{task.steps[done]}"

    kept, failed = generated(tmp_path, acting, "--count", "8", source="agent-home")
    assert len(kept) + len(failed) == 8 and kept
    assert {row["why"] for row in failed} == {"the goal is not reached"}
    report = ParseReport()
    rows = list(parse_rows(kept, report, form=PRESETS["agent"]))
    assert len(rows) == len(kept), report.reasons
    assert all(t.observations and t.thoughts[0] == "step 0" for t in rows)


def test_rows_without_answers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"problem": "Why?"}\n')
    with pytest.raises(InputError, match="no row has a problem and an answer"):
        module.problems_of(str(tmp_path / "p.jsonl"), None, 0)


@pytest.mark.parametrize("usage", [None, 5, {"prompt_tokens": None, "completion_tokens": "x"}])
def test_an_endpoint_need_not_count_tokens(usage: Any, tmp_path: Path) -> None:
    def uncounted(chat: list[dict[str, str]]) -> bytes:
        message = {"role": "assistant", "content": solving(chat)}
        return json.dumps({"choices": [{"message": message}], "usage": usage}).encode()

    kept, _ = generated(tmp_path, uncounted, "--count", "2")
    assert len(kept) == 2


def test_another_source_s_problems_of_the_same_numbers_are_asked(tmp_path: Path) -> None:
    first, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for file, start in ((first, 0), (other, 4)):
        rows = ({"problem": f"What is {n} + 1?", "answer": n + 1} for n in range(start, start + 2))
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    generated(tmp_path, solving, source=str(first))
    kept, failed = generated(tmp_path, solving, source=str(other))
    assert len(kept) == 4 and not failed


@pytest.mark.parametrize(
    ("bad", "kept_"), [("{}\ndone", 1), ("turn_on nothing nowhere", 0), ("{}", 1)]
)
def test_what_is_kept_is_read_again(bad: str, kept_: int, tmp_path: Path) -> None:
    """The first reply is `bad`, with the expert's action for braces; then the expert goes on."""
    task = next(
        t for t in module.problems_of("agent-home", 20, 0) if "switch/" in t.id or "time/" in t.id
    )
    number = module.problems_of("agent-home", 20, 0).index(task) + 1

    def acting(chat: list[dict[str, str]]) -> str:
        asked = chat[-1]["content"]
        if f"Task: {task.problem}\n" not in asked:
            return "done"
        taken = asked.count("\n> ")
        rest = task.steps[1:] if "{" in bad else task.steps
        return [bad.format(task.steps[0]), *rest][taken]

    kept, _ = generated(tmp_path, acting, "--count", str(number), source="agent-home")
    assert len(kept) == kept_
    read = list(parse_rows(kept, ParseReport(), form=PRESETS["agent"]))
    assert [t.steps for t in read] == [task.steps] * kept_


@pytest.mark.parametrize(
    "flags",
    [("--url", "http://[::1"), ("--price", "nan", "1"), ("--price", "-1", "1"), ("--key", "KEY")],
)
def test_flags_of_no_sense_are_refused(
    flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(p) + "\n" for p in PROBLEMS))
    monkeypatch.setenv("KEY", "schl\u00fcssel")
    url = () if "--url" in flags else ("--url", "http://127.0.0.1:9/v1")
    out = ("--model", "m", "--out", str(tmp_path / "r.jsonl"))
    with pytest.raises(InputError):
        called("data generate", str(tmp_path / "p.jsonl"), *url, *out, *flags)


def test_an_interruption_asks_for_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counting(chat: list[dict[str, str]]) -> str:
        asked.append(1)
        return solving(chat)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_solution", interrupted)
    flags = ("--workers", "1", "--samples", "20")
    with pytest.raises(KeyboardInterrupt):
        generated(tmp_path, counting, *flags)
    assert len(asked) < 20


ROW = {"id": "p0#0", "problem": "What is 0 + 1?", "steps": ["a", "b"], "model": "m"}
_WHOLE, _CUT = json.dumps(ROW), json.dumps(ROW | {"id": "p1#0", "problem": "Another?"})[:-9]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.failed"])
@pytest.mark.parametrize(
    "text",
    [
        "My thesis, in one line",
        "My thesis\nin two",
        json.dumps(PROBLEMS[0]),
        json.dumps(PROBLEMS[0]) + "\n",
        f'{_WHOLE}\n{{"question": "of anoth',
        '{\n "id": "p0"\n}',
        '{"id": "p0", "problem": "of mine", "steps": ["x"]}',
    ],
)
def test_a_file_of_anything_else_is_left_as_it_is(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    theirs = tmp_path / "made" / name
    theirs.write_text(text)
    asked: list[int] = []

    def counting(chat: list[dict[str, str]]) -> str:
        asked.append(1)
        return solving(chat)

    with pytest.raises(InputError, match="holds something else than the rows"):
        generated(tmp_path, counting)
    assert theirs.read_text() == text and not asked


@pytest.mark.parametrize(("text", "there"), [(_WHOLE, 1), (f"{_WHOLE}\n{_CUT}", 1), ('{"i', 0)])
def test_of_its_own_rows_only_a_torn_one_goes(text: str, there: int, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "rows.jsonl").write_text(text)
    kept, _ = generated(tmp_path, solving)
    assert kept[:there] == [ROW][:there] and len(kept) == 5
    torn, last = tmp_path / "made" / "rows.jsonl.torn", text.rpartition("\n")[2]
    assert (torn.read_text() if torn.exists() else "") == ("" if last == _WHOLE else f"{last}\n")


@pytest.mark.parametrize("folder", [False, True])
def test_the_source_is_not_written_into(folder: bool, tmp_path: Path) -> None:
    source = tmp_path / "p.jsonl"
    source.write_text("\n".join(json.dumps(p) for p in PROBLEMS))
    before = source.read_text()
    (tmp_path / "other.jsonl").symlink_to(source)
    flags = ["--url", "http://127.0.0.1:9/v1", "--model", "m"]
    for out in (source, tmp_path / "other.jsonl"):
        with pytest.raises(InputError, match="is read as the source"):
            called("data generate", str(source.parent if folder else source), *flags, "--out", out)
    assert source.read_text() == before


def test_a_second_one_with_the_same_file_asks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    asked: list[int] = []

    def counting(chat: list[dict[str, str]]) -> str:
        asked.append(1)
        return solving(chat)

    holds = (
        "import sys, time; from pathlib import Path; from srl_edge.run_lock import held\n"
        "with held(Path(sys.argv[1]), 'rows.jsonl'): print(flush=True), time.sleep(60)"
    )
    command = [sys.executable, "-c", holds, str(tmp_path / "made")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout and first.stdout.readline()
            with pytest.raises(InputError, match=rf"process {first.pid} works on this file since"):
                generated(tmp_path, counting)
        finally:
            first.kill()
    assert not asked
    generated(tmp_path, counting)  # what has ended does not hold it
    assert asked


def test_no_reply_at_all_is_no_success(tmp_path: Path) -> None:
    flags = ("--count", "3")  # fewer than end it at once
    with pytest.raises(StageError, match=r"none of 3 requests had a reply \(status 404\)"):
        generated(tmp_path, lambda chat: 404, *flags)
    kept, _ = generated(tmp_path, solving, *flags)
    assert len(kept) == 3


def test_a_reply_that_drips_is_not_waited_for(tmp_path: Path) -> None:
    class Drip(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.2)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    (tmp_path / "p.jsonl").write_text(json.dumps(PROBLEMS[0]) + "\n")
    start = time.monotonic()
    with (
        listening(Drip) as url,
        pytest.raises(StageError, match=r"none of 1 requests had a reply \(no reply within 1 s\)"),
    ):
        flags = ("--url", url, "--model", "m", "--timeout", "1")
        called(
            "data generate", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "r.jsonl"), *flags
        )
    assert time.monotonic() - start < 5


def test_a_reply_of_any_size_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"an answer of more than 4 MiB"):
        generated(tmp_path, lambda chat: b" " * (8 << 20), "--count", "1", "--max-tokens", "1")


def test_what_is_busy_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srl_edge.data.endpoint._WAIT", 0.01)
    statuses = [503, 429]
    kept, _ = generated(
        tmp_path, lambda chat: statuses.pop() if statuses else solving(chat), "--count", "1"
    )
    assert len(kept) == 1 and not statuses


@pytest.mark.parametrize(
    ("url", "name", "sent", "said"),
    [
        ("http://127.0.0.1:1/v1", None, True, ""),
        ("https://example.org/v1", None, True, "example.org is sent the key in OPENAI_API_KEY"),
        ("http://example.org/v1", None, False, "example.org is not sent the key in OPENAI_API_KEY"),
        ("http://example.org/v1", "OPENAI_API_KEY", True, "is sent the key in OPENAI_API_KEY"),
    ],
)
def test_a_key_is_not_sent_in_the_clear_unless_it_is_named(
    url: str, name: str | None, sent: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = key_for(url, name, {"OPENAI_API_KEY": "k"})
    assert key == ("k" if sent else "")
    told = capsys.readouterr().err
    assert (said in told) if said else not told
    assert key_for(url, None, {}) == "" and not capsys.readouterr().err
    with pytest.raises(InputError, match="--key NONE: no such variable is set"):
        key_for(url, "NONE", {})
