"""What a training will not be able to do with its data, said before it begins."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from srl_edge.method.prompts import expert_ids, prompt_ids
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop.train import training_prompts

_LOOKED_AT = 512  # prompts of each stage


def foreseen(recipe: Recipe, run: Path, tokenizer: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about replies that are too long, prompts that do not fit, and missing answers.

    config: the model's config.json.
    """
    positions = (config.get("text_config") or config).get("max_position_embeddings")
    for number, stage in enumerate(recipe.stages, start=1):
        groups = training_prompts(recipe, stage, run)
        name = f"train: stage {number} ({stage.kind})"
        answers = [group[0].answer for group in groups]
        if not any(answer is not None for answer in answers):
            yield (
                f"{name}: no problem of the data has an answer, so no solution can be right: "
                "accuracy is 0 whatever is trained; give rows an `answer`"
            )
        prompts = [prompt for group in groups for prompt in group][:_LOOKED_AT]
        asked = [len(prompt_ids(tokenizer, prompt)) for prompt in prompts]
        if positions and max(asked) + stage.max_new_tokens > positions:
            yield (
                f"{name}: a prompt of {max(asked)} tokens and a reply of {stage.max_new_tokens} "
                f"are more than the {positions} positions of the model; data.max_step_characters "
                "and data.max_steps leave out what is long"
            )
        if stage.kind == "rlvr":
            continue
        replies = [len(expert_ids(tokenizer, prompt)) + 1 for prompt in prompts]
        if longer := sum(length > stage.max_new_tokens for length in replies):
            yield (
                f"{name}: {longer} of {len(replies)} of the expert's replies are longer than "
                f"max_new_tokens = {stage.max_new_tokens} (the longest: {max(replies)} tokens), so "
                "sampled ones are cut off there; raise it, or set data.max_step_characters"
            )
