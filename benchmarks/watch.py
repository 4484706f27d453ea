"""What `srl-edge watch` takes to read a large file of rollouts, to show a page, and to search it.

    python benchmarks/watch.py [megabytes]

Prints CPU seconds, and the memory that is held for it. The rows are made up, of a usual length.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from srl_edge.watch import rollouts_page
from srl_edge.watch.rollouts import Query
from srl_edge.watch.run import Run

MEGABYTES = 100


def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "train", "rollouts.jsonl")
        file.parent.mkdir()
        write(file, megabytes * 10**6)
        run = Run(Path(folder))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        timed("taken in", run.follow_to_end)
        held = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"{len(run.rollouts.entries)} rollouts, {held:.0f} MiB held")
        timed("nothing new", run.follow_to_end)
        for said, asked in (
            ("the newest page", Query()),
            ("a word that none has", Query(text="zebra")),
            ("the same, again", Query(text="zebra")),
            ("a word that all have", Query(text="thought")),
            ("the best of each group", Query(pick="best", sort="worst")),
        ):
            timed(said, partial(rollouts_page.page, run, 0, asked, 1))


def write(file: Path, size: int) -> None:
    """Steps of 128 rollouts, eight a prompt, until the file is of that size."""
    with file.open("w", encoding="utf-8") as out:
        number = 0
        while out.tell() < size:
            step, place = divmod(number, 128)
            row = {
                "stage": 0,
                "kind": "srl",
                "step": step + 1,
                "trajectory_id": f"t/{number // 8}",
                "step_index": 1,
                "rollout": number % 8,
                "problem": "Ann has 3 cats. " * 6,
                "previous_steps": ["3 + 4 = 7 cats."],
                "expert_action": "7 + 5 = 12 cats.",
                "completion": f"<think>{'A thought about cats. ' * 10}</think>\n7 + {place} cats.",
                "finished": True,
                "reward": place / 128,
                "fault": "",
                "parts": {"format": 1.0, "similarity": place / 128},
            }
            out.write(json.dumps(row) + "\n")
            number += 1


def timed(said: str, run: Callable[[], object]) -> None:
    start = time.process_time()
    run()
    print(f"{said}: {time.process_time() - start:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES)
