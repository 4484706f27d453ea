"""In what two benchmarks measured a model otherwise, so that figures say nothing of a change.

An upgrade of a runtime is none of it: what that changes is what benchmarks are compared for.
"""

from typing import Any

from srl_edge.report.rows import OWN_WAY, BenchResults, ModelRow

Measured = tuple[BenchResults, ModelRow]  # a model's row, and the benchmark that it is of
DEVICE = ("processor", "cores", "system", "gpu")  # by what one machine is told from another
_TIMED = ("threads", "decode_tokens")
_SOLVED = ("samples", "temperature", "shots")
_LONGEST = ("max_new_tokens", "max_steps")


def timed_otherwise(old: Measured, new: Measured) -> list[str]:
    """What a model's speed and peak memory depend on and is not the same in both, in words."""

    def facts(results: BenchResults, row: ModelRow) -> dict[str, Any]:
        return (
            {"prompt_tokens": row.prompt_tokens}
            | {key: results.settings.get(key) for key in _TIMED}
            | {key: results.device.get(key) for key in DEVICE}
            | {"place": "in a browser" if "browser" in results.device else "in a process"}
        )

    return _differing(facts(*old), facts(*new))


def solved_otherwise(old: Measured, new: Measured, task: str) -> list[str]:
    """What a model's answers to a task depend on and is not the same in both, in words."""
    keys = (*_SOLVED, *(("own_way_tokens",) if task == OWN_WAY else _LONGEST))

    def facts(results: BenchResults, row: ModelRow) -> dict[str, Any]:
        settings = {"shots": 0} | results.settings
        asked = {"way of asking": row.told.get("asked", "as its manifest says")}
        return asked | {key: settings.get(key) for key in keys}

    return _differing(facts(*old), facts(*new))


def _differing(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    def said(value: Any) -> Any:
        return "not told" if value is None else value

    changed = (key for key in then if then[key] != now[key])
    return [f"{key} ({said(then[key])}, then {said(now[key])})" for key in changed]
