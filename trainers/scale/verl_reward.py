"""What verl's reward workers call: the score of a reply, with its parts."""

from pathlib import Path
from typing import Any

from srl_edge.files import read_json
from srl_edge.models.catalog import resolve
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.recipe import load
from srl_edge.trainers.scale.rows import prompt_of
from srl_edge.trainers.scale.scored import StageReward


class VerlReward:
    """The reward of a job's folder.

    verl gives the reply's text alone, so one of as many tokens as it may have counts as cut off.
    """

    def __init__(self, folder: Path) -> None:
        recipe = load(folder / "recipe.toml")
        self._model = read_json(folder / "job.json", "ScaleJob")["model"]
        self._most, self._form = recipe.stages[-1].max_new_tokens, recipe.prompt.form
        self._tokenizer: Any = None
        self._of = StageReward(recipe)

    def __call__(self, text: str, step_prompt: str) -> dict[str, float]:
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(resolve(self._model))
        finished = len(self._tokenizer.encode(text, add_special_tokens=False)) < self._most
        reward = self._of(text, finished, prompt_of(step_prompt, self._form))
        return {"score": reward, "acc": reward}
