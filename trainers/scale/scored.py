"""The reward of a recipe's last stage, for trainers that are not ours."""

from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Rollout, StepPrompt
from srl_edge.method.verifiers import is_correct
from srl_edge.recipe import Recipe


class StageReward:
    """Scores replies as the recipe's last stage does."""

    def __init__(self, recipe: Recipe) -> None:
        self.stage, self.form = recipe.stages[-1], recipe.prompt.form

    def __call__(self, text: str, finished: bool, prompt: StepPrompt) -> float:
        """The reward of srl, or 1 for the right answer in the right format."""
        stage = self.stage
        if stage.kind == "srl":
            rollout = Rollout((), (), (), text, finished)
            return step_reward(rollout, prompt, stage.reward, stage.guards, stage.autojunk).total
        reply = self.form.read(text, finished)
        asked = (prompt.answer or "", self.form, prompt.problem)
        return float(not reply.fault and is_correct(reply.action, *asked))
