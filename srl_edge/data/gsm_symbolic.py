"""Word problems with worked solutions from reasoning-gym's `gsm_symbolic`, split by template."""

import random
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from srl_edge.data.arithmetic import wrong_equations
from srl_edge.errors import InputError

_ASK = " Give the result as your final answer. Do not include units."


def rows_by_template(per_template: int, seed: int) -> dict[int, list[dict[str, Any]]]:
    """Rows (`id`, `problem`, `solution`) of each template, without repeated problems.

    A template is one narrative; its rows differ in names and numbers. Raises InputError where
    reasoning-gym is not installed.
    """
    try:
        import reasoning_gym
    except ImportError:
        raise InputError(
            "gsm_symbolic comes with reasoning-gym, which is not installed: "
            "pip install 'srl-edge[problems]'."
        ) from None
    templates: dict[int, list[dict[str, Any]]] = defaultdict(list)
    seen: set[str] = set()
    # Templates are drawn at random: about a hundred of them, so this many draws fill them all.
    dataset = reasoning_gym.create_dataset("gsm_symbolic", size=per_template * 200, seed=seed)
    for index, template in enumerate(dataset.task_indices):
        if len(templates[template]) >= per_template:
            continue
        item = dataset[index]
        problem = item["question"].removesuffix(_ASK)
        if problem in seen:
            continue
        seen.add(problem)
        row = {"problem": problem, "solution": item["metadata"]["answer_cot"]}
        templates[template].append({"id": f"gsm_symbolic-{template}-{index}", **row})
    return dict(templates)


def sound_templates(
    templates: Mapping[int, list[dict[str, Any]]],
) -> dict[int, list[dict[str, Any]]]:
    """The templates of which no solution writes a wrong sum."""
    return {
        template: rows
        for template, rows in templates.items()
        if not any(wrong_equations(row["solution"]) for row in rows)
    }


def split_templates(
    templates: Collection[int], validation: int, test: int, seed: int
) -> dict[str, list[int]]:
    """Names of the templates of each split: no narrative is in two of them."""
    order = sorted(templates)
    random.Random(seed).shuffle(order)
    if len(order) <= validation + test:
        raise InputError(
            f"data: {len(order)} templates cannot give {validation} to validation and {test} to "
            "test; lower data.validation_templates or data.test_templates."
        )
    return {
        "test": order[:test],
        "validation": order[test : test + validation],
        "train": order[test + validation :],
    }
