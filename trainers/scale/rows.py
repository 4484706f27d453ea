"""Step prompts as rows of text, and back: what travels to trainers that are not ours."""

import json
from dataclasses import asdict, fields
from typing import Any

from srl_edge.method.prompt_form import PromptForm
from srl_edge.method.prompts import prompt_text
from srl_edge.method.types import StepPrompt


def row_of(tokenizer: Any, prompt: StepPrompt) -> dict[str, Any]:
    """A prompt as the model reads it, and what its reply is scored by."""
    asked = {
        key: value
        for key, value in asdict(prompt).items()
        if key not in ("form", "world", "tools", "observations")
    }
    return {"prompt": prompt_text(tokenizer, prompt), "step_prompt": json.dumps(asked)}


def prompt_of(row: str, form: PromptForm) -> StepPrompt:
    """The step prompt of a row that `row_of` made."""
    given = json.loads(row)
    known = {field.name for field in fields(StepPrompt)} - {"form"}
    values = {key: value for key, value in given.items() if key in known}
    values["previous_steps"] = tuple(values["previous_steps"])
    return StepPrompt(**values, form=form)
