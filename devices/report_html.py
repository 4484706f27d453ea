"""The report as one HTML page that needs nothing else, and the tables it shares with Markdown."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from srl_edge.devices import plots

Facts = dict[str, Any]
Table = tuple[list[str], list[list[str]]]  # headers, then rows of as many cells

PARTS = {
    "training": "Training",
    "bench": "Accuracy, size and speed",
    "parity": "Do the artifacts answer as the trained model does?",
    "examples": "What the reward sees",
    "data": "Data",
}
CSS = """
:root { color-scheme: light dark; --page: #fff; --ink: #17202b; --muted: #566270; --rule: #e3e7ec;
  --soft: #f5f7f9; --mark: #cfe6fb; --blue: #0a62a8; --orange: #ad4a00; --green: #00714f; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --ink: #e8ecf1; --muted: #a0acb9;
  --rule: #2b333d; --soft: #1a2028; --mark: #174a75; --blue: #6cb8ff; --orange: #ffa561;
  --green: #4fd3a6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main, header { max-width: 1040px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 44px; } section { padding: 36px 0 8px; scroll-margin-top: 8px; }
h1 { font-size: clamp(26px, 5vw, 38px); line-height: 1.15; margin: 4px 0 10px;
  letter-spacing: -.02em; overflow-wrap: anywhere; }
h2 { font-size: 22px; margin: 0 0 6px; letter-spacing: -.01em; }
h3 { font-size: 16px; margin: 26px 0 6px; }
p { margin: 0 0 14px; max-width: 74ch; } .quiet, figcaption, .quiet p { color: var(--muted); }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 26px 0 0; padding: 10px 0;
  border: solid var(--rule); border-width: 1px 0; } a { color: var(--blue); }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(205px, 1fr));
  gap: 16px; margin: 26px 0 0; }
.numbers div { background: var(--soft); border-radius: 10px; padding: 16px 18px; }
.numbers dt { color: var(--muted); font-size: 14px; line-height: 1.4; }
.numbers dd { margin: 0 0 4px; font-size: 28px; font-weight: 650; letter-spacing: -.02em;
  white-space: nowrap; }
.numbers div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
figure { margin: 20px 0 26px; } figcaption { font-size: 14px; margin-top: 8px; max-width: 84ch; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 40px; } .narrow { display: none; }
.verdict { border-left: 4px solid var(--blue); padding: 2px 0 2px 14px; }
.scroll { overflow-x: auto; margin: 14px 0 20px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 8px 0 8px 18px; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
td { white-space: nowrap; } td.words { text-align: left; white-space: normal; min-width: 15em; }
thead th { color: var(--muted); font-weight: 600; vertical-align: bottom; }
th:first-child { text-align: left; padding-left: 0; padding-right: 8px; position: sticky; left: 0;
  background: var(--page); }
.pass { color: var(--green); font-weight: 650; } .FAIL { color: var(--orange); font-weight: 650; }
.example { border: 1px solid var(--rule); border-radius: 10px; padding: 4px 20px 16px;
  margin: 18px 0; } .example h3 { margin-top: 14px; }
.step { white-space: pre-wrap; overflow-wrap: anywhere; margin: 2px 0 10px; }
.who { font-size: 13px; font-weight: 650; color: var(--muted); margin: 0; }
mark { background: var(--mark); color: inherit; box-shadow: 0 2px 0 var(--blue); }
dl.terms dt { font-weight: 650; } dl.terms dd { margin: 0 0 10px; max-width: 80ch; }
pre { background: var(--soft); border-radius: 8px; padding: 14px 16px; overflow-x: auto;
  font-size: 13px; } code { overflow-wrap: anywhere; } summary { cursor: pointer; }
@media (max-width: 760px) { .wide { display: none; } .narrow { display: block; max-width: 440px; }
  .pair { grid-template-columns: 1fr; } main, header { padding-left: 18px; padding-right: 18px; }
  header { padding-top: 26px; } .numbers { grid-template-columns: 1fr 1fr; gap: 10px; }
  .numbers div { padding: 12px; } .numbers dd { font-size: 21px; } }
"""


def page(facts: Facts) -> str:
    """The whole report as one HTML document; every text of a model or a data set is escaped."""
    figures: dict[str, Callable[[Facts], str]] = {
        "training": _training, "bench": _bench, "examples": _examples,
    }  # fmt: skip
    parts = []
    for key, title in PARTS.items():
        if note := facts["missing"].get(key):
            body = f'<p class="quiet">{_prose(note)}</p>'
        else:
            body = figures[key](facts) if key in figures else ""
            body += "".join(_table(table) for table in tables(facts, key))
        parts.append(f'<section id="{key}"><h2>{title}</h2>\n{body}</section>')
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title in PARTS.items())
    numbers = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"
        for value, label in facts["headline"]
    )
    model = escape(facts["recipe"]["model"]["name"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{model}: srl-edge report</title>
<style>{CSS}{plots.CSS}</style>
</head>
<body>
<header>
<p class="quiet">srl-edge {escape(facts["version"])}: report of a run</p>
<h1>{model}</h1>
<p>{escape(facts["summary"])}</p>
<dl class="numbers">{numbers}</dl>
<nav aria-label="Parts of the report">{links}<a href="#method">How it was measured</a></nav>
</header>
<main>
{"".join(parts)}
<section id="method"><h2>How it was measured</h2>
{_method(facts)}</section>
</main>
</body>
</html>
"""


def _training(facts: Facts) -> str:
    t = facts["training"]
    html = "".join(f"<p>{escape(said)}</p>" for said in t["words"])
    curves, panels = [], ""
    if t["srl"]:
        curves.append(plots.Series("training", _points(t["srl"], "reward"), 1))
        shares = [
            plots.Series("format", _points(t["srl"], "rewards/format/mean"), 3),
            plots.Series("similarity", _points(t["srl"], "rewards/similarity/mean"), 1),
        ]
        said = "Share of replies in the right format, and the mean similarity of those."
        panels += _figure(said, plots.curves, shares, "SRL step", "share or mean", y_range=(0, 1))
    if held_out := [r for r in t["held_out"] if r["kind"] == "srl"]:
        curves.append(plots.Series("held-out", _points(held_out, "eval_reward"), 2, True))
    if curves:
        said = (
            "Faint points: mean reward of the rollouts sampled in a step. Line: Gaussian-weighted "
            "mean over neighbouring steps. Open circles: greedy replies to held-out prompts."
        )
        html += _figure(said, plots.curves, curves, "SRL step", "mean reward", wide=980)
    if loss := _points(t["sft"], "loss"):
        said = "Loss of the supervised warm-up on the expert's steps."
        series, top = [plots.Series("loss", loss, 1)], max(y for _, y in loss)
        panels += _figure(
            said, plots.curves, series, "warm-up step", "loss, nats a token", y_range=(0, top)
        )
    return f'{html}<div class="pair">{panels}</div>'


def _bench(facts: Facts) -> str:
    colours = {"torch": 0, "onnx": 1, "executorch": 2}
    models = [
        plots.Model(
            r["name"], colours.get(r["name"].replace("-", " ").split()[0], 3), r["size_mb"],
            r["decode_tokens_per_second"]["mean"], r["accuracy"], tuple(r["accuracy_interval"]),
        ) for r in facts["bench"]["rows"]
    ]  # fmt: skip
    html = "".join(f'<p class="verdict">{escape(said)}</p>' for said in facts["verdicts"])
    n = facts["bench"]["rows"][0]["problems"]
    said = f"Share of {n} held-out problems solved, the same for all, with its 95% interval."
    html += _figure(said, plots.intervals, models, wide=980)
    said = "Up is faster, left is smaller. Area: share of problems solved. Colour: the runtime."
    return html + _figure(said, plots.size_and_speed, models, wide=980)


def _examples(facts: Facts) -> str:
    intro = (
        "<p>Sampled near the end of training. Marked characters are those that the reward counts "
        "as matching: twice their number, divided by the characters of both steps. The thought "
        "is never scored.</p>"
    )
    return intro + "".join(_example(e) for e in facts["examples"])


def _example(e: Facts) -> str:
    reward = f"reward {signed(e['reward'])}" + (f": {e['fault']}" if e["fault"] else "")
    so_far = "".join(f"<li>{escape(step)}</li>" for step in e["previous_steps"])
    thought = f'<p class="step quiet">{escape(e["thought"])}</p>' if e["thought"] else ""
    said = "the step" if not e["fault"] else "the whole reply; it is not compared"
    return f"""<article class="example"><h3>{escape(e["title"])} – {escape(reward)}</h3>
<p>{escape(e["problem"])}</p>
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
    terms = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(said)}</dd>"
        for term, said in definitions(facts).items()
    )
    commands = "\n".join(f"{run}  # {what}" for what, run in facts["commands"].items())
    return f"""<dl class="terms">{terms}</dl>
<h3>To repeat it</h3><pre tabindex="0">{escape(commands)}</pre>
<details><summary>The recipe, with every setting</summary>
<pre tabindex="0">{escape(facts["recipe_toml"])}</pre></details>
"""


def tables(facts: Facts, part: str) -> list[Table]:
    """The tables of one part of the report, cells as plain text."""
    if part == "bench":
        headers = [
            "model", "size, MB", "first token, ms (p50)", "prefill, tokens/s", "decode, tokens/s",
            "decode p50 / p95", "peak memory, MiB", "solved [95% interval]", "parity",
        ]  # fmt: skip
        return [(headers, [_bench_cells(row) for row in facts["bench"]["rows"]])]
    if part == "parity":
        headers = [
            "artifact", "result", "same prompt ids", "same next token (at least)", "positions",
            "KL, nats", "largest logit error", "same greedy text", "first difference",
        ]  # fmt: skip
        return [(headers, [_parity_cells(row) for row in facts["parity"]])]
    if part == "data":
        data, splits = facts["data"], facts["data"]["splits"]
        dropped = [[f"dropped: {why}", str(n)] for why, n in data["dropped"].items()]
        return [
            (["split", "problems", "steps"],
             [[k, str(v["problems"]), str(v["steps"])] for k, v in splits.items()]),
            (["expert solutions", "number"],
             [["read", str(data["read"])], ["kept", str(data["kept"])], *dropped]),
        ]  # fmt: skip
    return []


def _bench_cells(row: Facts) -> list[str]:
    prefill, decode = row["prefill_tokens_per_second"], row["decode_tokens_per_second"]
    parity = row["parity_agreement"]
    return [
        row["name"], f"{row['size_mb']:.0f}", f"{1000 * row['time_to_first_token']['p50']:.0f}",
        f"{prefill['mean']:.0f} ± {prefill['std']:.0f}",
        f"{decode['mean']:.1f} ± {decode['std']:.1f}",
        f"{decode['p50']:.1f} / {decode['p95']:.1f}", f"{row['peak_memory_mib']:.0f}",
        accuracy(row), "–" if parity is None else f"{parity:.1%}",
    ]  # fmt: skip


def _parity_cells(row: Facts) -> list[str]:
    where = row["first_difference"]
    return [
        row["artifact"], "pass" if row["passed"] else "FAIL",
        f"{row['prompt_ids_equal']} of {row['prompts']}",
        f"{row['agreement']:.1%} ({row['agreement_threshold']:.1%})", f"{row['positions']}",
        f"{row['kl_divergence']:.4f}", f"{row['max_logit_error']:.2f}",
        f"{row['greedy_texts_equal']} of {row['prompts']}",
        f"prompt {where['prompt']} step {where['step_index']} position {where['position']}: "
        f"{where['got']!r} in place of {where['expected']!r}" if where else "none",
    ]  # fmt: skip


def definitions(facts: Facts) -> dict[str, str]:
    """What each figure means and how it came about, by its name."""
    bench, check = facts["recipe"]["bench"], facts["recipe"]["check"]
    said = {
        "Problems solved": (
            f"Problems of the test split are solved step by step: one greedy reply a step, of at "
            f"most {bench['max_new_tokens']} tokens; at most {bench['max_steps']} steps. A reply "
            "that breaks the format ends the attempt, and the answer in it counts."
        ),
        "95% interval": (
            "By resampling problems (bootstrap); where all or none are solved, Wilson's interval."
        ),
        "Size": "All files of the model's folder, tokenizer included; 1 MB is a million bytes.",
        "Time to first token": (
            "From prompt ids to the first token chosen, with an empty cache; tokenization is not "
            f"in it. The prompt has {bench['prompt_tokens']} tokens. All speeds are from "
            f"{bench['repeats']} repeats after one warm-up: mean ± standard deviation, and "
            "nearest-rank percentiles (of a speed, p95 is a fast repeat)."
        ),
        "Prefill": "The prompt's tokens, divided by the time to first token.",
        "Decode": f"{bench['decode_tokens']} more tokens, greedily and one by one, by their time.",
        "Peak memory": (
            "Highest resident memory of a process that holds this one runtime, from its start "
            "through the measurement of speed, before that of accuracy. The processes of the "
            "torch and ExecuTorch rows import PyTorch, which counts."
        ),
        "Parity": (
            f"The artifact and the merged model (PyTorch, fp32) read the same {check['prompts']} "
            "held-out prompts, each with the expert's reply. Compared at every position of the "
            "reply: the most likely next token, the distribution (KL divergence), the logits. "
            f"Greedy texts have at most {check['greedy_tokens']} tokens. To pass, all prompt ids "
            "and enough next tokens are the same."
        ),
    }
    if facts["bench"]:
        device = facts["bench"]["device"]
        tools = ", ".join(f"{name} {version}" for name, version in device["tools"].items())
        said["Device"] = (
            f"{device['processor']}, {device['cores']} cores, {device['threads']} threads, "
            f"{device['system']}; Python {device['python']}, {tools}."
        )
    return said


def _table(table: Table) -> str:
    headers, rows = table
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in headers)
    body = ""
    for first, *cells in rows:
        body += f'<tr><th scope="row">{escape(first)}</th>'
        for cell in cells:
            kind = cell if cell in ("pass", "FAIL") else "words" if len(cell) > 24 else ""
            body += f'<td class="{kind}">{escape(cell)}</td>'
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _figure(said: str, draw: Callable[..., str], *what: Any, wide: int = 470, **options: Any) -> str:
    """A plot drawn for wide pages and again for phones, where a shrunken one is not legible."""
    drawn = [draw(*what, width=width, **options) for width in (wide, 350)]
    return (
        f'<figure><div class="wide">{drawn[0]}</div><div class="narrow">{drawn[1]}</div>'
        f"<figcaption>{escape(said)}</figcaption></figure>"
    )


def _points(rows: Sequence[Facts], key: str) -> list[tuple[float, float]]:
    return [(row["at"], row[key]) for row in rows]


def _prose(text: str) -> str:
    """Escaped text with what stands in backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def signed(value: float) -> str:
    """A number with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def accuracy(row: Facts) -> str:
    """A bench row's accuracy and its 95% interval."""
    low, high = row["accuracy_interval"]
    return f"{row['accuracy']:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def overlap(a: Facts, b: Facts) -> bool:
    """Whether the 95% intervals of two bench rows have a point in common."""
    (a_low, a_high), (b_low, b_high) = a["accuracy_interval"], b["accuracy_interval"]
    return bool(a_low <= b_high and b_low <= a_high)
