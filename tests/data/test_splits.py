"""Which problems are held out: numbers, shares, and near-duplicates on one side."""

from typing import Any

import pytest

from srl_edge.data import splits
from srl_edge.data.splits import SPLITS, alike, apart, divide, near_duplicates, number_of
from srl_edge.data.trajectories import ParseReport
from srl_edge.method.types import Trajectory


def made(*problems: str) -> list[Trajectory]:
    return [Trajectory(str(i), problem, ("a", "b")) for i, problem in enumerate(problems)]


def different(count: int) -> list[Trajectory]:
    """Problems of which none is another's with other numbers."""
    return made(*("x" * i for i in range(1, count + 1)))


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (7000, (6840, 60, 100)),
        (600, (480, 60, 60)),
        (40, (32, 4, 4)),
        (10, (8, 1, 1)),
        (3, (1, 1, 1)),
    ],
)
def test_without_a_setting_a_small_set_holds_less_out(count: int, sizes: tuple[int, ...]) -> None:
    problems = made(*(f"{'abcdefghij'[i % 10]}{'x' * (i // 10)}" for i in range(count)))
    found = divide(problems, {"validation": None, "test": None}, 0)
    assert tuple(len(found[name]) for name in SPLITS) == sizes
    assert sum(map(len, found.values())) == count


@pytest.mark.parametrize(
    ("asked", "number"), [(0.1, 4), (0.25, 10), (0.001, 1), (7, 7), (100, 100), (None, 4)]
)
def test_numbers_and_shares(asked: float | None, number: int) -> None:
    assert number_of(asked, 40, "test") == number


def test_the_same_seed_draws_the_same_and_another_another() -> None:
    numbers = {"validation": 4, "test": 6}
    first, again, other = (divide(different(30), numbers, seed) for seed in (0, 0, 1))
    assert first == again and first["test"] != other["test"]


def test_near_duplicates_stay_on_one_side() -> None:
    assert alike("Ann has 3.5 pears,  or 1,200.") == alike("ann has 7 pears, or 2.")
    assert alike("Ann has 3 pears.") != alike("Bob has 3 pears.")
    problems = [f"{'y' * i} {n}" for i in range(20) for n in range(3)]
    found = divide(made(*problems), {"validation": 6, "test": 7}, 0)
    assert [len(found[name]) for name in SPLITS] == [45, 6, 9]
    assert near_duplicates(found) == {"problems": 60, "on_two_sides": 0}


@pytest.mark.parametrize("others", [0, 3])
def test_a_text_that_all_problems_have_is_on_every_side(others: int) -> None:
    problems = [f"Ann has {n} pears." for n in range(24)]
    problems += [f"Bob {'b' * n}." for n in range(others)]
    found = divide(made(*problems), {"validation": 4, "test": 4}, 0)
    assert all(found.values()) and len(found["test"]) == (3 if others else 4)
    assert near_duplicates(found)["on_two_sides"] == 24


def test_held_out_problems_are_left_out_of_training() -> None:
    report = ParseReport(kept=6)
    train = made("one 1", "one 2", "two", "three", "four", "five 5")
    kept = apart(train, made("two", "five 7"), report)
    assert [t.problem for t in kept] == ["one 1", "one 2", "three", "four"]
    assert report.kept == 4
    assert report.dropped == {
        "a problem of a held-out split": 1,
        "a problem of a held-out split, with other numbers": 1,
    }
    assert report.examples["a problem of a held-out split"] == ["id 2: two"]


def test_a_text_of_the_whole_set_is_kept_in_training_with_other_numbers() -> None:
    report: Any = ParseReport(kept=3)
    train = made("add 1 and 2", "add 3 and 4", "add 5 and 6")
    assert apart(train, made("add 3 and 4", "add 8 and 9"), report) == [train[0], train[2]]


def test_of_a_problem_that_is_there_twice_the_last_is_kept() -> None:
    report = ParseReport(kept=3)
    rows = [Trajectory("a", "p", ("1", "2")), Trajectory("b", "q", ()), Trajectory("c", "p", ())]
    assert [t.id for t in splits.unique(rows, report)] == ["c", "b"]
    assert report.dropped == {"the same problem twice": 1} and report.kept == 2
