"""What each figure of the reports means and how it came about."""

from typing import Any

from srl_edge.recipe import Recipe
from srl_edge.report.rows import HELD_OUT, OWN_WAY, BenchResults
from srl_edge.report.text import counted

_BENCH = """
- Solved: Share of attempts whose answer math-verify finds equal to the expected one, units left
  out; of tasks in a world, whose goal holds in the end. A solution has at most {max_steps} steps
  and a reply at most {max_new_tokens} tokens. A reply
  that breaks the format ends the attempt, and the answer in it counts. Problems that were lost with
  a runner count as unsolved.
- Answer marked: The share that is solved and marks its answer; without a mark the last number
  counts.
- 95% interval: By resampling problems (bootstrap); where all or none are solved, by Wilson.
- Size: All files of the model's folder, tokenizer included; 1 MB is a million bytes.
- Time to first token, prefill: A prompt of {prompt_tokens} tokens of which nothing is known yet is
  read, and the next token chosen, without tokenization; the prompt's tokens divided by that time.
- Decode: {decode_tokens} more tokens, greedily and one by one, divided by their time. Speeds are
  median ± standard deviation of {repeats} repeats after one warm-up, all models in turns.
  Percentiles are nearest-rank.
- Weights read: Size times the median of decode, since each token needs all weights; of an
  embedding beside the projection to the vocabulary only a row is read, so it is at most this.
- Energy: All that the machine used meanwhile, whatever else it did, as RAPL, powermetrics or
  Android's BatteryManager tell. A token's share holds the reading of the prompt.
- Peak memory: Highest resident memory (RSS) of a process that holds this one runtime, from its
  start through the measurement of speed, before that of accuracy. The processes of the torch and
  ExecuTorch rows import PyTorch, which counts.
- Step similarity: difflib's ratio of the greedy next step to the expert's, over characters, as the
  reward counts it, for {step_prompts} step prompts; 0 where the format is broken.
- The expert's step: The share of those steps that are the expert's own, spaces aside: commands
  by their words, calls by name and arguments. Another step may be as good.
"""
# Of what is only measured where it was asked for.
_STRICT = """
- Strict match, flexible extract: Shares that lm-evaluation-harness's two filters for gsm8k find
  right: the number after the first `#### `, and the last number of the reply, both compared as
  text. A reply that marks its answer in another way, as in a box, is no strict match.
"""
_DRAWN = """
- pass@k: The chance that one of k attempts is right at least, estimated without bias from all
  {samples}.
- maj@k: The share of problems of which most attempts give the right answer. Equal answers are one,
  as the verifier finds; a tie counts by its share, and attempts without an answer do not vote.
"""
_BATCHED = """
- Batches: Several problems were solved at once. Seconds and joules of one problem are those of a
  few that were solved one at a time as well.
"""
_RUN = """
- Task {held_out}: The held-out problems of the test split, asked as the run asks.
- Task {own_way}: The first {own_way_problems} of them, with one greedy reply of at most
  {own_way_tokens} tokens to the model's natural prompt, without the run's format.
- Gain: The tuned model as it was trained, less the base in whichever way the base does better,
  paired by problem, with a 95% bootstrap interval of the difference. That of the last stage is over
  what the stage before it had learned, and that of an artifact is it less the tuned model.
- Torch tuned: What the last stage had learned, before it is exported.
- Torch base, torch after a stage: The untrained model, and what a stage before the last had
  learned. They are asked and not timed, as they are as fast as the tuned model.
"""
_PARITY = """
- Parity: The artifact and the merged model (PyTorch, fp32) read the same {prompts} prompts, held
  out, each with the expert's reply. At every position of the reply we compare the most likely next
  token, the distribution (mean KL divergence) and the logits. Greedy texts have at most
  {greedy_tokens} tokens. An artifact passes by the rules in docs/check.md.
"""


def of_bench(results: BenchResults) -> dict[str, str]:
    """The terms of a benchmark, and the device it ran on, by name."""
    device = results.device
    tools = ", ".join(f"{name} {version}" for name, version in device["tools"].items())
    busy = max(row.load_average or 0.0 for row in results.rows)
    rate = device.get("memory_gb_per_second")
    bandwidth = f" Its memory is read at {rate:.0f} GB/s by as many threads." if rate else ""
    python = f", Python {device['python']}" if device.get("python") else ""
    listed = [answers for row in results.rows for answers in row.tasks.values()]
    said = _BENCH + "".join(
        part
        for part, measured in (
            (_STRICT, any(each.strict is not None for each in listed)),
            (_DRAWN, any(each.pass_at for each in listed)),
            (_BATCHED, any(each.batching for each in listed)),
        )
        if measured
    )
    return _read(said, results.settings) | {
        "Device": f"{device['processor']}, {counted(device['cores'], 'core')}, "
        f"{counted(device['threads'], 'thread')}, load average up to {busy:.1f}; "
        f"{device['system']}{python}, {tools}.{bandwidth}"
    }


def of_run(recipe: Recipe, results: BenchResults | None, compared: bool) -> dict[str, str]:
    """The terms of a run's report, by name; compared: artifacts with the trained model."""
    names = {"held_out": HELD_OUT, "own_way": OWN_WAY}
    said = _read(_RUN, recipe.benchmark.model_dump() | names) if results else {}
    said |= of_bench(results) if results else {}
    return said | (_read(_PARITY, recipe.check.model_dump()) if compared else {})


def _read(listed: str, values: dict[str, Any]) -> dict[str, str]:
    texts = listed.format(**values).split("\n- ")[1:]
    return dict(" ".join(text.split()).split(": ", 1) for text in texts)  # type: ignore[misc]
