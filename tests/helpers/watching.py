"""Run folders to look at, and their pages served for a while."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import uvicorn

from srl_edge.watch.run import Run
from srl_edge.watch.server import application, bound


def rollout(
    step: int = 1, number: int = 0, reward: float = 0.5, /, **others: Any
) -> dict[str, Any]:
    """A row of rollouts.jsonl."""
    return {
        "stage": 1,
        "kind": "srl",
        "step": step,
        "trajectory_id": "made/1",
        "step_index": 0,
        "rollout": number,
        "problem": "How many pears are 2 and 3?",
        "previous_steps": [],
        "expert_action": "2 + 3 = 5 pears.",
        "observations": [],
        "completion": "<think>I add.</think>\n2 + 3 = 6 pears.",
        "finished": True,
        "reward": reward,
        "parts": {"format": 1.0, "similarity": reward},
        "fault": "",
    } | others


def trained(step: int, stage: int = 1, kind: str = "srl", /, **others: Any) -> dict[str, Any]:
    """A row of metrics.jsonl of a training step."""
    sampled = {
        "reward": 0.5,
        "reward_std": 0.1,
        "keep_rate": 0.5,
        "rewards/format/mean": 1.0,
        "rewards/similarity/mean": 0.5,
        "sampling/tokens_per_second": 90.0,
        "completions/mean_length": 12.0,
        "completions/clipped_ratio": 0.0,
    }
    row = {"stage": stage, "kind": kind, "step": step, "loss": 0.25, "step_time": 2.0}
    return row | (sampled if kind != "sft" else {}) | others


def validated(step: int, stage: int = 1, kind: str = "srl", /, **others: Any) -> dict[str, Any]:
    """A row of metrics.jsonl of a validation."""
    found = {"eval_reward": 0.4, "eval_similarity": 0.4, "eval_format": 0.9, "eval_best": 1.0}
    return {"stage": stage, "kind": kind, "step": step} | found | others


def add(file: Path, *rows: dict[str, Any]) -> None:
    """Add lines to a file, as training does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@contextmanager
def served(runs: Sequence[Run]) -> Iterator[str]:
    """Where the pages of runs are."""
    listening = bound(0)
    config = uvicorn.Config(application(runs), log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def asked(url: str, host: str = "", method: str = "GET") -> tuple[int, str, dict[str, str]]:
    """The status, text and headers (names in lower case) that a URL is answered with."""
    request = Request(url, headers={"Host": host} if host else {}, method=method)
    try:
        with urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode(), _lower(answer.headers.items())
    except HTTPError as error:
        return error.code, error.read().decode(), _lower(error.headers.items())


def _lower(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers}
