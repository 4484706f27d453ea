"""Rollouts are found by text, step, fault and group, in any order, while the file grows."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from srl_edge.terminal.rollouts import choose
from srl_edge.watch.rollouts import PICKS, SORTS, Entry, Query, Rollouts
from tests.helpers.watching import add, rollout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rollouts.jsonl"
    add(
        path,
        rollout(1, 0, 0.9, completion="<think>Apples?</think>\nTake 2."),
        rollout(1, 1, -1.0, completion="Café", fault="not exactly one think span"),
        rollout(1, 0, 0.1, trajectory_id="made/2", problem='Say "so\\so"\nnow.'),
        rollout(2, 1, 0.5, completion="<think></think>\n" + "long " * 30),
        rollout(2, 0, 0.7, fault="cut off at the length limit", finished=False),
    )
    return path


def read(file: Path) -> Rollouts:
    found = Rollouts(file)
    found.follow_to_end()
    return found


def numbers(found: Rollouts, **query: object) -> list[int]:
    return [entry.number for entry in found.find(Query(**query))]  # type: ignore[arg-type]


def test_every_order_and_pick_is_of_the_same_rows(file: Path) -> None:
    found = read(file)
    assert numbers(found) == [4, 3, 2, 1, 0] and numbers(found, sort="oldest") == [0, 1, 2, 3, 4]
    assert numbers(found, sort="best") == [0, 4, 3, 2, 1]
    assert numbers(found, sort="worst") == [1, 2, 3, 4, 0]
    assert numbers(found, sort="longest")[0] == 3 and numbers(found, sort="shortest")[0] == 1
    assert all(sorted(numbers(found, sort=sort)) == [0, 1, 2, 3, 4] for sort in SORTS)
    # Rows 3 and 4 are of one prompt that was sampled as two groups: rollouts are numbered anew.
    assert numbers(found, pick="best", sort="oldest") == [0, 2, 3, 4]
    assert numbers(found, pick="worst", sort="oldest") == [1, 2, 3, 4]
    assert set(PICKS) == {"all", "best", "worst"}


def test_best_and_worst_are_those_of_the_terminal(file: Path) -> None:
    found = read(file)
    first = [row for entry, row in found.rows(found.entries) if entry.step == 1]
    for pick in ("best", "worst"):
        mine = found.rows(found.find(Query(step=1, pick=pick, sort=pick)))
        assert [row for _, row in mine] == choose(first, pick, 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apples", [0]),
        ("CAFÉ", [1]),
        ('"so\\so"', [2]),
        ("\nnow", [2]),
        ("made/2", [2]),
        ("how many PEARS", [0, 1, 3, 4]),
        ("parts", []),
        ("completion", []),
        ("false", []),
    ],
)
def test_a_text_is_found_in_what_was_written_alone(
    file: Path, text: str, expected: list[int]
) -> None:
    assert numbers(read(file), text=text, sort="oldest") == expected


def test_faults_are_counted_and_filtered_by(file: Path) -> None:
    found = read(file)
    assert list(found.faults().values()) == [1, 1]
    assert numbers(found, fault="some", sort="oldest") == [1, 4]
    assert numbers(found, fault="none", sort="oldest") == [0, 2, 3]
    assert numbers(found, fault="cut off at the length limit") == [4]
    assert numbers(found, fault="nothing like that") == []
    assert numbers(found, step=2, stage=1) == [4, 3] and numbers(found, stage=0) == []


def test_new_rows_are_found_without_reading_old_ones_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read(file)
    assert numbers(found, text="apples") == [0]
    add(file, rollout(3, completion="<think></think>\nMore apples."), rollout(3, 1))
    read_again: list[int] = []
    whole = Rollouts._lines

    def lines(self: Rollouts, entries: Sequence[Entry]) -> Iterator[tuple[Entry, bytes]]:
        read_again.extend(entry.number for entry in entries)
        return whole(self, entries)

    monkeypatch.setattr(Rollouts, "_lines", lines)
    found.follow_to_end()
    assert len(found.entries) == 7 and read_again == []
    assert numbers(found, text="apples") == [5, 0] and read_again == [5, 6]
    assert [entry.number for entry in found.newest(9)] == [5, 6]


def test_a_run_that_begins_anew_replaces_all(file: Path) -> None:
    found = read(file)
    assert numbers(found, text="apples") == [0]
    file.unlink()
    add(file, rollout(1, completion="<think></think>\nPlums."))
    found.follow_to_end()
    assert numbers(found) == [0] and numbers(found, text="apples") == []
    assert found.faults() == {}


def test_a_broken_line_is_left_out_and_said(file: Path) -> None:
    with file.open("a") as out:
        out.write('{"stage": 1}\nnot JSON\n' + json.dumps(rollout(9)) + "\n")
    found = read(file)
    assert len(found.entries) == 6 and len(found.skipped) == 2
    assert found.entries[-1].step == 9 and "is left out" in found.skipped[0]


def test_a_file_that_is_gone_meanwhile_has_no_rows(file: Path) -> None:
    found = read(file)
    file.unlink()
    assert found.rows(found.entries) == [] and numbers(found, text="apples") == []


def test_a_large_file_is_read_bit_by_bit(file: Path) -> None:
    found = Rollouts(file)
    assert found.follow(most=300) and 0 < len(found.entries) < 5 and found.left > 0
    found.follow_to_end()
    assert len(found.entries) == 5 and found.left == 0


def test_the_newest_steps_groups_with_most_to_tell_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    for group, rewards in enumerate(((0.5, 0.5), (0.1, 0.9), (0.2, 0.8))):
        rows = [rollout(2, n, r, trajectory_id=f"made/{group}") for n, r in enumerate(rewards)]
        add(path, rollout(1, 0, group / 10, trajectory_id="old"), *rows)
    found = read(path)
    # Of the newest step alone, in the order of the file.
    assert [entry.number for entry in found.newest(1)] == [7, 8]
    add(path, *(rollout(3, n, r, trajectory_id=f"{n // 2}") for n, r in enumerate((0, 0.1, 0, 1))))
    found.follow_to_end()
    assert [entry.number for entry in found.newest(1)] == [11, 12]
    assert [entry.number for entry in found.newest(5)] == [9, 10, 11, 12]
