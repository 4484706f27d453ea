"""One part of a training: what is learned from, how replies are sampled, and how long."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from srl_edge.method.prompts import Targets
from srl_edge.method.rewards import check_weights
from srl_edge.recipe.section import FEW, Few, Many, ManyOrNone, Section


class Stage(Section):
    kind: Literal["sft", "srl", "rlvr"]
    """sft: supervised. srl: sampled steps, scored against the expert's. rlvr: exact answers."""
    steps: Many | None = None
    """Optimizer steps."""
    epochs: Annotated[float, Field(gt=0, le=FEW)] | None = None
    """Passes over the prompts, instead of steps."""
    data: str | None = None
    """Source of this stage's own trajectories, as `data.source`; without it, the training split."""
    prompts_per_step: Few = 8
    """Prompts that a batch learns from; srl, rlvr: groups of rollouts that are kept."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Of AdamW, after the warm-up."""
    warmup_steps: ManyOrNone = 0
    """Steps over which the learning rate rises to its value, linearly."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Longer gradients are scaled down to it."""
    reply: Literal["step", "whole"] = "step"
    """What one reply is: the next step, or the whole solution."""
    targets: Targets = "all"
    """sft, srl: which steps are targets: 1..N-1 (paper), 1..N (all), 2..N (skip_first)."""
    warm_up_thoughts: Literal["data", "own", "none"] = "data"
    """sft: thoughts that are taught: the data's (without any, a step's numbers), the model's own,
    sampled and kept where the step after them is close to the expert's, or empty ones."""
    title_hint: bool = False
    """sft, srl: give the next step's title in the prompt; the target is the rest of the step."""
    reward: dict[str, float] = Field(default_factory=dict)
    """srl: weights of characters (the paper's), tokens, numbers, results, answer, call,
    "file.py:f"; without any, half characters and half numbers (of actions, call)."""
    guards: bool = False
    """srl: give the format penalty to a copied, much longer or many-line step."""
    autojunk: bool = False
    """srl: difflib's default heuristic, which makes long steps' similarity depend on order."""
    aggregation: Literal["sequence", "token"] = "sequence"
    """Loss: mean of sequence means (the paper's equation), or mean over tokens."""
    group_size: Few = 8
    """srl, rlvr: rollouts a prompt, compared with each other."""
    learned_rollouts: Annotated[int, Field(ge=2, le=FEW)] | None = None
    """Those of each group that are learned from: the ones that differ most; None: all."""
    max_new_tokens: Many = 96
    """Longest reply."""
    overlong: Literal["penalty", "masked"] = "penalty"
    """Replies cut off at that length: a broken format, as in the paper, or not learned from."""
    max_steps: Few = 8
    """rlvr and validation: most replies to solve a problem."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """srl, rlvr: rollouts are sampled at it, and their log-probabilities are taken at it."""
    clip_low: Annotated[float, Field(gt=0)] = 0.2
    """srl, rlvr: how far below 1 a token's probability ratio counts."""
    clip_high: Annotated[float, Field(gt=0)] = 0.2
    """srl, rlvr: how far above 1 it counts. A ratio differs from 1 after a batch's first update."""
    kl: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the divergence from the model without adapter; the paper's is 0."""
    minibatches: Few = 1
    """Even parts of each batch's prompts, as many as it has at most, with an optimizer update on
    each: many prompts sampled at a time cost less, and are learned from in several updates."""
    updates_per_batch: Few = 1
    """Passes over each batch."""
    spread_epsilon: Annotated[float, Field(ge=0)] = 0.01
    """A group is kept if the population std of its rewards is larger."""
    max_rounds: Few = 4
    """Sampling rounds a step at most to fill the batch with kept groups."""
    validate_every: ManyOrNone = 0
    """Steps between validations, beside those at the start and the end; 0 for these two alone."""
    patience: ManyOrNone = 0
    """Validations without a better one after which the stage ends; 0 for never."""

    def steps_of(self, prompts: int) -> int:
        """Its optimizer steps, each of a batch, on so many prompts."""
        return self.steps or math.ceil((self.epochs or 1.0) * prompts / self.prompts_per_step)

    @model_validator(mode="after")
    def _one_budget(self) -> "Stage":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs, and None for the other")
        if self.kind == "rlvr" and self.reward:
            raise ValueError("rlvr scores exact answers; reward is for srl stages")
        if self.kind != "sft" and self.warm_up_thoughts != "data":
            raise ValueError("warm_up_thoughts is for sft stages")
        if self.kind != "sft" and self.group_size < 2:
            raise ValueError("group_size must be 2 or more: rollouts are compared with each other")
        if self.patience and not self.validate_every:
            raise ValueError("patience counts validations; give validate_every too")
        check_weights(self.reward)
        return self
