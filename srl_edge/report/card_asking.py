"""How a card shows a model being asked: the values of the code in it, as Python writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from srl_edge.artifact import MANIFEST
from srl_edge.errors import InputError
from srl_edge.files import expanded, read_json_if_there
from srl_edge.method.prompt_form import (
    BOXED,
    DONE,
    HASHES,
    SAID_BETWEEN,
    PromptForm,
    form_of,
)
from srl_edge.method.prompts import without_thought
from srl_edge.models.chat_template import ChatTemplate, of_folder
from srl_edge.models.wheels import KNOWN, cached
from srl_edge.recipe import Recipe
from srl_edge.report.layout import render_code
from srl_edge.report.markdown import code as inline_code
from srl_edge.report.markdown import fenced

OWN_PROBLEM = {  # what a model is asked in an example, where srl-edge itself made its problems up
    "home": "Please open the window in the library and turn on the lamp in the porch.",
    "stories": "Tom has 7 shells. He finds 5 more, and then he gives 3 away. How many has he now?",
    "gsm_symbolic": "A box holds 12 eggs. Mara packs 3 boxes and sells 10 eggs. How many are left?",
}


@dataclass(frozen=True, slots=True)
class Asking:
    """How a run's model is asked, and where its tokenizer is on this computer, if anywhere.

    stops: the token ids that end a reply; none where they are not known.
    """

    form: PromptForm
    whole: bool
    problem: str
    max_steps: int
    max_new_tokens: int
    template: ChatTemplate | None
    stops: tuple[int, ...]


def asking_of(recipe: Recipe, run: Path, manifest: Mapping[str, Any] | None) -> Asking:
    """How a run's model is asked: as an artifact's manifest says, else as the recipe does.

    Downloads nothing.
    """
    said = (manifest or {}).get("prompt")
    form = form_of(said) if said else recipe.prompt.form
    whole = said.get("reply") == "whole" if said else recipe.whole
    template, stops = None, tuple[int, ...]()
    for folder in _folders(recipe, run):
        there = read_json_if_there(folder / MANIFEST, "Json") or {}
        stops = stops or tuple(there.get("stop_token_ids", ()))
        try:
            template = template or of_folder(folder)
        except InputError:
            continue
    if not stops and (run / "merged" / "tokenizer.json").is_file():
        from srl_edge.models.tokenizer import stop_ids

        stops = tuple(stop_ids(run / "merged"))
    problem = OWN_PROBLEM.get(recipe.data.source, "What the model is to solve.")
    asked = recipe.benchmark
    return Asking(form, whole, problem, asked.max_steps, asked.max_new_tokens, template, stops)


def _folders(recipe: Recipe, run: Path) -> list[Path]:
    """Where a tokenizer of the model may lie."""
    base = expanded(recipe.model.name)
    known = [cached(recipe.model.name)] if recipe.model.name in KNOWN else []
    return [*sorted((run / "artifacts").glob("*")), run / "merged", base, *known]


def code(kind: str, asking: Asking, **values: Any) -> Markup:
    """A block of Python that asks a model of a kind of folder, until it is done.

    kind: names the template. values: what else that takes; text becomes a literal of Python's.
    """
    literals = {key: repr(value) for key, value in values.items()}
    said = render_code(f"run_{kind}.txt", **literals, **_values(asking))
    return Markup(fenced(f"{said.strip()}\n", "python"))


def turns(asking: Asking) -> list[Mapping[str, str]]:
    """The chat that asks, with {problem} and {steps} where those go, as the template takes it."""
    form = asking.form
    system, user = (form.whole_system, form.whole) if asking.whole else (form.system, form.step)
    chat = [{"role": "user", "content": user}]
    chat = [{"role": "system", "content": system}, *chat] if system else chat
    return list(asking.template.accepted(chat)) if asking.template else list(chat)


def reply(asking: Asking) -> str:
    """What a reply of the model is, and how one goes on."""
    form = asking.form
    thought = " after a thought inside <think> and </think>" if form.think else ""
    if asking.whole:
        return f"A reply is the whole solution{thought}."
    ends = {
        DONE: "a reply says done",
        HASHES: "a step has a line that begins with ####",
        BOXED: "a step has its answer in \\boxed{}",
    }
    ended = ends.get(form.answer, f"a step matches {form.answer}")
    if form.action != "text":
        return f"A reply is one action{thought}; what came of it is told, until {ended}."
    return f"A reply is one step{thought}; it is asked again, with the steps so far, until {ended}."


def asked(asking: Asking) -> list[tuple[str, Markup]]:
    """The turns that ask, each its role and its text as it is."""
    form = asking.form
    system, user = (form.whole_system, form.whole) if asking.whole else (form.system, form.step)
    said = [("System", system)] if system else []
    return [(role, Markup(fenced(f"{text}\n", "text"))) for role, text in [*said, ("User", user)]]


def asked_by(asking: Asking) -> Markup:
    """What stands for what in the turns, and who renders them."""
    said = f"{inline_code('{problem}')} is where the problem goes"
    if not asking.whole:
        steps = "steps so far go, one a line"
        if asking.form.action != "text":
            steps = "actions so far go, each with what came of it"
        said += f", and {inline_code('{steps}')} where the {steps}"
    said += ". The tokenizer's own chat template makes one text of the turns"
    if told := asking.form.told():
        settings = ", ".join(f"{key} = {value!r}" for key, value in told.items())
        said += f", and is told {inline_code(settings)}"
    return Markup(f"{said}. Replies were chosen greedily where they were measured.")


def _values(asking: Asking) -> dict[str, Any]:
    form, template = asking.form, asking.template
    first, *rest = turns(asking)
    # Where the template takes no system turn its text comes before the user's.
    system = form.whole_system if asking.whole else form.system
    rendered = template.render([first, *rest], True, form.date, form.told()) if template else ""
    thinks = form.think and (not template or without_thought(rendered, form) != rendered)
    literals = {
        "system": system,
        "user": form.whole if asking.whole else form.step,
        "problem": asking.problem,
        "stops": list(asking.stops),
        "date": form.date,
        "pairs": form.context_pairs,
        "said_between": SAID_BETWEEN.pattern,
    }
    return {key: repr(value) for key, value in literals.items()} | {
        "system_apart": bool(rest),
        "asks_system": bool(system),
        "whole": asking.whole,
        "acts": form.action != "text",
        "think": form.think,
        "thinks": thinks,
        "dated": bool(template and _dated(template, form)),
        "told": f", **{form.told()!r}" if form.told() else "",
        "ended": _ended(form),
        "max_steps": asking.max_steps,
        "max_new_tokens": asking.max_new_tokens,
    }


def _dated(template: ChatTemplate, form: PromptForm) -> bool:
    """Whether what a template writes depends on the date."""
    chat = [{"role": "user", "content": "Yes?"}]
    return template.render(chat, True, form.date, form.told()) != template.render(
        chat, True, "1999-12-31", form.told()
    )


def _ended(form: PromptForm) -> str:
    """Python that says whether a step is the last one."""
    match form.answer:
        case "done":
            return f"step == {DONE!r}"
        case "####":
            return f"{HASHES!r} in step"
        case "boxed":
            return f"{BOXED!r} in step"
        case pattern:
            return f"re.search({pattern!r}, step)"
