"""The report as one HTML page that needs nothing else, and the tables it shares with Markdown."""

from collections.abc import Sequence
from html import escape
from typing import Any

from srl_edge.report import plots
from srl_edge.report.layout import Table, document, table
from srl_edge.report.results import ABSENT, shown, spread

Facts = dict[str, Any]

PARTS = {
    "training": "Training",
    "bench": "Accuracy, size and speed",
    "parity": "Parity with the trained model",
    "examples": "What the reward sees",
    "data": "Data",
    "method": "How it was measured",
}
DEFINITIONS = """
- Problems solved: Each problem of the test split is solved step by step, with one greedy reply of
  at most {bench[max_new_tokens]} tokens a step, and at most {bench[max_steps]} steps. A reply that
  breaks the format ends the attempt, and the answer in it counts, as the base never learnt it.
- In its own way: One greedy reply of at most {bench[own_way_tokens]} tokens to the model's natural
  prompt, without the run's format, on the first {bench[own_way_problems]} problems. The last number
  counts where no answer is marked; in brackets, marked answers alone.
- Gain: The tuned model as it was trained, less the base in whichever way the base does better,
  paired by problem, with a 95% bootstrap interval of the difference.
- 95% interval: By resampling problems (bootstrap); where all or none are solved, by Wilson.
- Size: All files of the model's folder, tokenizer included; 1 MB is a million bytes.
- Time to first token: From prompt ids to the first token chosen, with an empty cache;
  tokenization is not in it. The prompt has {bench[prompt_tokens]} tokens. All speeds come from
  {bench[repeats]} repeats after one warm-up: mean ± standard deviation, and nearest-rank
  percentiles, where the p95 of a speed is a fast repeat.
- Prefill: The tokens of that prompt, divided by the time to first token.
- Decode: {bench[decode_tokens]} more tokens, greedily and one by one, divided by their time.
- Peak memory: Highest resident memory (RSS) of a process that holds this one runtime, from its
  start through the measurement of speed, before that of accuracy. The processes of the torch and
  ExecuTorch rows import PyTorch, which counts.
- Step similarity: difflib's ratio of the model's greedy next step to the expert's, over characters,
  as the reward counts it, for {bench[step_prompts]} step prompts of the test split; 0 where the
  format is broken.
- Parity: The artifact and the merged model (PyTorch, fp32) read the same {check[prompts]} prompts,
  held out, each with the expert's reply. At every position of the reply we compare the most likely
  next token, the distribution (mean KL divergence) and the logits. Greedy texts have at most
  {check[greedy_tokens]} tokens. An artifact passes by the rules in docs/export.md.
"""


def page(facts: Facts) -> str:
    """The whole report as one HTML document; every text of a model or a data set is escaped."""
    texts = {"training": _training, "bench": _bench, "examples": _examples, "method": _method}
    parts = []
    for key, title in PARTS.items():
        if note := facts["missing"].get(key):
            body = f'<p class="quiet">{escape(note)}</p>'
        else:
            body = texts[key](facts) if key in texts else ""
            body += "".join(map(table, tables(facts, key)))
        parts.append((key, title, body))
    kind = f"srl-edge {facts['version']}: report of a run"
    name = facts["recipe"]["model"]["name"]
    return document(kind, name, facts["summary"], facts["headline"], parts)


def _training(facts: Facts) -> str:
    t = facts["training"]
    html = "".join(f"<p>{escape(said)}</p>" for said in t["words"])
    srl, loss = t["srl"], _points(t["sft"], "loss")
    said = (
        "Faint points: mean reward of the rollouts sampled in a step. Line: Gaussian-weighted "
        "mean over neighbouring steps. Open circles: greedy replies to held-out prompts."
    )
    for kind, name, key in (("srl", "SRL", "eval_reward"), ("rlvr", "RLVR", "eval_accuracy")):
        held_out = [row for row in t["held_out"] if row["kind"] == kind and key in row]
        curves = [plots.Series("training", _points(t[kind], "reward"), 1)] if t[kind] else []
        if curves and held_out:
            curves.append(plots.Series("held-out", _points(held_out, key), 2, True))
        if curves:
            html += plots.figure(said, plots.curves, curves, f"{name} step", "reward", wide=980)
    html += '<div class="pair">'
    if srl:
        terms = {"format": 3, "similarity": 1}
        lines = [plots.Series(k, _points(srl, f"rewards/{k}/mean"), c) for k, c in terms.items()]
        said = "Share of replies in the right format, and the mean similarity of those."
        html += plots.figure(said, plots.curves, lines, "SRL step", "mean", y_range=(0, 1))
    if loss:
        said = "Loss of the supervised warm-up on the expert's steps, in nats a token."
        lines, top = [plots.Series("loss", loss, 1)], max(y for _, y in loss)
        html += plots.figure(said, plots.curves, lines, "warm-up step", "loss", y_range=(0, top))
    return f"{html}</div>"


def _bench(facts: Facts) -> str:
    rows = facts["bench"]["rows"]
    models = [plots.Model.of(row) for row in rows if row["decode_tokens_per_second"]]
    html = "".join(f'<p class="verdict">{escape(said)}</p>' for said in facts["verdicts"])
    said = f"The same {rows[0]['problems']} held-out problems for all, with 95% intervals."
    html += plots.figure(said, plots.intervals, models, wide=980)
    said = "Up is faster, left is smaller. Area: share of problems solved. Colour: the runtime."
    return html + plots.figure(said, plots.size_and_speed, models, wide=980)


def _examples(facts: Facts) -> str:
    examples = "".join(map(_example, facts["examples"]))
    return f"""<p>Sampled near the end of training. Marked characters are those that the reward
counts: twice their number, by the characters of both steps. The thought is never scored.</p>
{examples}"""


def _example(e: Facts) -> str:
    terms = ", ".join(f"{name} {signed(value)}" for name, value in e["parts"].items())
    reward = f"Reward {signed(e['reward'])} ({terms})" + (f": {e['fault']}" if e["fault"] else "")
    so_far = "".join(f"<li>{escape(step)}</li>" for step in e["previous_steps"])
    thought = f'<p class="step quiet">{escape(e["thought"])}</p>' if e["thought"] else ""
    said = "the step" if not e["fault"] else "the whole reply; it is not compared"
    return f"""<article><h3>{escape(e["title"])}</h3>
<p class="quiet">{escape(reward)}</p><p>{escape(e["problem"])}</p>
{f'<p class="who">Steps so far</p><ol>{so_far}</ol>' if so_far else ""}<div class="pair">
<div><p class="who">Expert: the next step</p>
<p class="step">{marked(e["expert_action"], [(b, n) for _, b, n in e["blocks"]])}</p></div>
<div><p class="who">Model: {"a thought, then " if thought else ""}{said}</p>{thought}
<p class="step">{marked(e["action"], [(a, n) for a, _, n in e["blocks"]])}</p></div>
</div></article>
"""


def marked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Escaped text with each span (start, length) of it in a `<mark>`; spans are in order."""
    html, end = "", 0
    for start, length in spans:
        html += escape(text[end:start]) + f"<mark>{escape(text[start : start + length])}</mark>"
        end = start + length
    return html + escape(text[end:])


def _method(facts: Facts) -> str:
    terms = definitions(facts).items()
    listed = "".join(f"<dt>{escape(term)}</dt><dd>{escape(said)}</dd>" for term, said in terms)
    commands = "\n".join(f"{run}  # {what}" for what, run in facts["commands"].items())
    return f"""<dl class="terms">{listed}</dl>
<h3>To repeat it</h3><pre tabindex="0">{escape(commands)}</pre>
<details><summary>The recipe, with every setting</summary>
<pre tabindex="0">{escape(facts["recipe_toml"])}</pre></details>
"""


def tables(facts: Facts, part: str) -> list[Table]:
    """The tables of one part of the report, cells as plain text; none has no rows."""
    if part == "bench":
        return [[_bench_row(row) for row in facts["bench"]["rows"]]]
    if part == "parity":
        return [[_parity_row(row) for row in facts["parity"]]]
    if part == "data":
        data = facts["data"]
        counts = {k: data[k] for k in ("read", "kept")}
        counts |= {f"dropped: {why}": n for why, n in data["dropped"].items()}
        return [
            [{"split": name, "problems": f"{split['problems']}", "steps": f"{split['steps']}"}
             for name, split in data["splits"].items()],
            [{"expert solutions": name, "number": f"{n}"} for name, n in counts.items()],
        ]  # fmt: skip
    return []


def _bench_row(row: Facts) -> dict[str, str]:
    parity, steps = row["parity_agreement"], row["step_similarity"]
    return {
        "model": row["name"],
        **speed_cells(row),
        "solved [95% interval]": accuracy(row),
        "in its own way (marked)": own_way(row),
        "step similarity": shown(steps and steps["similarity"], ".3f"),
        "same next token": "n/a" if parity is None else f"{parity:.1%}",
    }


def speed_cells(row: Facts) -> dict[str, str]:
    """Size, speeds and memory of a bench row, by what heads them."""
    first = row["time_to_first_token"]
    prefill, decode = row["prefill_tokens_per_second"], row["decode_tokens_per_second"]
    return {
        "size, MB": f"{row['size_mb']:.0f}",
        "first token, ms (p50)": shown(first and 1000 * first["p50"], ".0f"),
        "prefill, tokens/s": spread(prefill, ".0f"),
        "decode, tokens/s": spread(decode, ".1f"),
        "decode p50 / p95": f"{decode['p50']:.1f} / {decode['p95']:.1f}" if decode else ABSENT,
        "peak memory, MiB": shown(row["peak_memory_mib"], ".0f"),
    }


def _parity_row(row: Facts) -> dict[str, str]:
    where = row["first_difference"]
    place = "prompt {prompt} step {step_index} position {position}: {got!r}, not {expected!r}"
    return {
        "artifact": row["artifact"],
        "result": "pass" if row["passed"] else "FAIL",
        "chats read alike": "{chats_equal}, runtime {runtime_chats_equal} of {chats}".format(**row),
        "same next token (at least)": f"{row['agreement']:.1%} ({row['agreement_threshold']:.1%})",
        "adapter": row.get("separate_adapter", "merged"),
        "KL, nats; logit error": f"{row['kl_divergence']:.4f}; {row['max_logit_error']:.2f}",
        "same greedy text": f"{row['greedy_texts_equal']} of {row['prompts']}",
        "in long texts": ", ".join(f"{x['agreement']:.0%} of {x['tokens']}" for x in row["long"]),
        "answers lost / won": "{lost} / {won} of {problems}".format(**row),
        "peak memory, MiB": f"{row['peak_memory_mib']:.0f}",
        "first difference": place.format(**where) if where else "none",
    }


def definitions(facts: Facts) -> dict[str, str]:
    """What each figure means and how it came about, by its name."""
    listed = DEFINITIONS.format(**facts["recipe"]).split("\n- ")[1:]
    said = dict(" ".join(text.split()).split(": ", 1) for text in listed)
    if bench := facts["bench"]:
        device = bench["device"]
        tools = ", ".join(f"{name} {version}" for name, version in device["tools"].items())
        busy = max(row["load_average"] or 0.0 for row in bench["rows"])
        said["Device"] = (
            f"{device['processor']}, {device['cores']} cores, {device['threads']} threads, load "
            f"average up to {busy:.1f}; {device['system']}, Python {device['python']}, {tools}."
        )
    return said


def _points(rows: Sequence[Facts], key: str) -> list[tuple[float, float]]:
    return [(row["at"], row[key]) for row in rows]


def signed(value: float) -> str:
    """A number with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def accuracy(row: Facts) -> str:
    """A bench row's accuracy and its 95% interval."""
    low, high = row["accuracy_interval"]
    return f"{row['accuracy']:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def own_way(row: Facts) -> str:
    """Accuracy of single replies in the model's own way, and what share marked the answer."""
    own = row.get("own_way")
    return f"{own['accuracy']:.1%} ({own['strict']:.1%})" if own else ABSENT


def points(difference: Facts) -> str:
    """A paired difference of accuracies in points, with its 95% interval."""
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    said = f"{mean:+.1f} points [{low:+.1f}, {high:+.1f}]"
    return said.replace("-", "\N{MINUS SIGN}")


def chance(difference: Facts) -> bool:
    """Whether a paired difference's 95% interval holds zero."""
    return bool(difference["low"] <= 0 <= difference["high"])


def overlap(a: Facts, b: Facts) -> bool:
    """Whether the 95% intervals of two bench rows have a point in common."""
    (a_low, a_high), (b_low, b_high) = a["accuracy_interval"], b["accuracy_interval"]
    return bool(a_low <= b_high and b_low <= a_high)
