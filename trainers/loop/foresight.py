"""What a training will not be able to do with its data, said before it begins."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from srl_edge.data import trajectories
from srl_edge.method.prompts import expert_ids, prompt_ids, step_prompts, whole_prompts
from srl_edge.recipe import Recipe
from srl_edge.trainers.loop.train import training_prompts

_LOOKED_AT = 512  # prompts of each stage


def foreseen(recipe: Recipe, run: Path, tokenizer: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about replies that are too long, prompts that do not fit, and missing answers.

    Prompts are looked at in training, and in the benchmark of artifacts.

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
    yield from _past_the_context(recipe, run, tokenizer)


def _past_the_context(recipe: Recipe, run: Path, tokenizer: Any) -> Iterator[str]:
    file = run / "data" / "test.jsonl"
    if not (recipe.export.artifacts and file.is_file()):
        return
    form, test = recipe.prompt.form, trajectories.load(file)
    groups = whole_prompts(test, form) if recipe.whole else step_prompts(test, "all", form=form)
    prompts = [prompt for group in groups for prompt in group][:_LOOKED_AT]
    longest = max((len(prompt_ids(tokenizer, prompt)) for prompt in prompts), default=0)
    room, reply = recipe.export.context_length, recipe.benchmark.max_new_tokens
    if longest + reply > room:
        yield (
            f"train: a test problem asks {longest} tokens, which with a reply of {reply} are more "
            f"than export.context_length = {room}, so artifacts cannot answer it; raise that"
        )
