"""An ExecuTorch artifact on an Android device, with the conversation of a runner.

Called as a module with SERIAL LLAMA_MAIN TARGET FOLDER THREADS [ADAPTER], TARGET being where
FOLDER's files are on the device. llama_main takes a text and prints a text: the token ids of a
prompt are decoded for it, and those of its reply encoded again. Each call loads the model anew,
which its times leave out.
"""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from srl_edge import processes
from srl_edge.devices.hosts.android import WATCH, describe, joules, peak_mib, said, shell, state

STATS = b"\nPyTorchObserver "


@dataclass(frozen=True, slots=True)
class Phone:
    """Where llama_main and an artifact are, and the tokenizer of both."""

    serial: str
    llama_main: str
    target: str
    threads: int
    adapter: str
    tokenizer: Any


def main() -> None:
    questions = processes.lines(sys.stdin)
    serial, llama_main, target, folder, threads, *adapter = sys.argv[1:]
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    phone = Phone(serial, llama_main, target, int(threads), "".join(adapter), tokenizer)
    machine, before = describe(serial, phone.threads, llama_main), state(serial)
    _, stats, _ = run(phone, "1", 1, False)
    loaded = {
        "load_seconds": (stats["model_load_end_ms"] - stats["model_load_start_ms"]) / 1000,
        "batch": 1,
        "machine": machine,
        "state": before,
    }
    print(json.dumps(loaded), flush=True)
    for line in questions:
        print(json.dumps(answer(phone, json.loads(line))), flush=True)


def answer(phone: Phone, question: dict[str, Any]) -> dict[str, Any]:
    """Replies to a question's prompts, with llama_main's own times."""
    if question["temperature"]:
        sys.exit("llama_main draws without a seed, which --resume could not repeat; temperature 0.")
    limit, stops = question["max_new_tokens"], question["stops"]
    replies, ran = [], []
    for ids in question["prompts"]:
        text, stats, watched = run(phone, phone.tokenizer.decode(ids, False), limit, not stops)
        if stats["prompt_tokens"] != len(ids):
            sys.exit(
                f"adb:{phone.serial}: a prompt of {len(ids)} tokens cannot be asked as text, where "
                f"llama_main reads {stats['prompt_tokens']}."
            )
        if not stops and stats["generated_tokens"] + 1 != limit:
            sys.exit(
                f"adb:{phone.serial}: llama_main made {stats['generated_tokens'] + 1} tokens where "
                f"{limit} were to be timed; is the artifact's context large enough?"
            )
        found = phone.tokenizer.encode(text, add_special_tokens=False).ids
        ends = [at for at, token in enumerate(found) if token in stops]
        # llama_main does not look whether the first token ends the reply.
        ids = found[: ends[0] + 1] if ends else found
        start, end = stats["inference_start_ms"], stats["inference_end_ms"]
        # Whole milliseconds are counted; less than one is given as one.
        first = max(stats["first_token_ms"] - start, 1)
        seconds = max(end - start, first + 1) / 1000
        replies.append({"ids": ids, "first_seconds": first / 1000, "seconds": seconds})
        ran.append((watched, start / 1000, end / 1000))
    now = state(phone.serial)
    used = [joules(*each, now) for each in ran]
    return {
        "replies": replies,
        "peak_memory_mib": max(filter(None, (peak_mib(each[0]) for each in ran)), default=None),
        "state": now,
        "energy_joules": None if None in used else sum(filter(None, used)),
    }


def run(phone: Phone, prompt: str, limit: int, ignore_eos: bool) -> tuple[str, dict[str, Any], str]:
    """llama_main's reply to a text, its stats, and what `WATCH` wrote; ends this process if none.

    ignore_eos: whether it goes on where the model would end its reply.
    """
    options = [
        phone.llama_main,
        "--model_path=model.pte",
        "--tokenizer_path=tokenizer.json",
        f"--max_new_tokens={limit}",
        "--temperature=0",
        f"--cpu_threads={phone.threads}",
        *([f"--data_paths={phone.adapter}"] if phone.adapter else []),
        *(["--ignore_eos"] if ignore_eos else []),
    ]
    # A shell drops the newlines that a text ends in, but for the dot behind them.
    command = (
        f"{WATCH}cd {phone.target}; prompt=$(cat; echo .)\n"
        f'watch {shlex.join(options)} --prompt="${{prompt%.}}"'
    )
    done = shell(phone.serial, command, prompt.encode(), timeout=None)
    if done.returncode:
        why = f"(exit code {done.returncode}): {said(done.stderr)}"
        sys.exit(f"adb:{phone.serial}: llama_main ended {why}")
    try:
        text, stats = parsed(done.stdout, prompt)
    except ValueError:
        sys.exit(f"adb:{phone.serial}: the output of llama_main was cut off.")
    return text, stats, done.stderr.decode(errors="replace")


def parsed(output: bytes, prompt: str) -> tuple[str, dict[str, Any]]:
    """The reply and the stats in what llama_main prints: prompt, reply, a line of JSON.

    Raises ValueError where that is not all there.
    """
    written, mark, rest = output.rpartition(STATS)
    echo = prompt.encode()
    if not mark or not written.startswith(echo):
        raise ValueError("no stats, or another prompt")
    stats: dict[str, Any] = json.loads(rest)
    return written[len(echo) :].decode(errors="replace"), stats


if __name__ == "__main__":
    main()
