"""The texts that 4-bit weights are fitted to: training prompts, and a little of everything else.

Fitted to word problems alone, a model answers word problems well and forgets the capital of France.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.prompts import expert_ids, prompt_ids, step_prompts, whole_prompts
from srl_edge.method.types import Trajectory
from srl_edge.models.chat_template import of_tokenizer

TRAINING_PROMPTS = 24
GENERAL = (
    ("What is the capital of France?", "The capital of France is Paris."),
    (
        "Why is the sky blue?",
        "Air scatters blue light more than red light, so blue reaches us from every side.",
    ),
    (
        "Write one sentence about autumn.",
        "Leaves turn gold, evenings grow short, and the first fires are lit.",
    ),
    ("Who wrote Romeo and Juliet?", "William Shakespeare wrote it in the 1590s."),
    ("Translate to Spanish: Good morning, my friend.", "Buenos días, mi amigo."),
    (
        "How do I boil an egg?",
        "Put it into boiling water for eight minutes, then cool it under the tap.",
    ),
    (
        "Name three planets.",
        "Mercury, Venus and Mars are three of the planets in our solar system.",
    ),
    ("def add(a, b):", "```python\ndef add(a, b):\n    return a + b\n```"),
    (
        "What is photosynthesis?",
        "Plants use sunlight, water and carbon dioxide to make sugar and oxygen.",
    ),
    ("Give me a synonym for happy.", "A good synonym for happy is cheerful."),
    ("How far away is the moon?", "The moon is about 384,000 kilometres from the earth."),
    (
        "Summarise: The meeting moved from Monday to Thursday because the room was taken.",
        "The meeting is now on Thursday.",
    ),
    (
        "What should I pack for a week at the sea?",
        "Light clothes, a hat, sun cream, swimwear, a towel and a book.",
    ),
    (
        "Is a whale a fish?",
        "No. A whale is a mammal: it breathes air and feeds its young with milk.",
    ),
    (
        "Tell me a short story about a fox.",
        "A fox found an open gate, looked in, and chose the quiet road home instead.",
    ),
    (
        "Explain inflation to a child.",
        "When prices rise, the same coin buys a little less than it did before.",
    ),
)


def calibration_texts(
    split: Sequence[Trajectory],
    tokenizer: Any,
    seed: int,
    form: PromptForm = DEFAULT,
    whole: bool = False,
) -> list[list[int]]:
    """Token ids of a split's prompts with the expert's replies, and of general chats."""
    groups = whole_prompts(split, form) if whole else step_prompts(split, "all", form=form)
    prompts = [p for group in groups for p in group]
    chosen = Random(seed).sample(prompts, min(TRAINING_PROMPTS, len(prompts)))
    texts = [
        [
            *prompt_ids(tokenizer, p),
            *expert_ids(tokenizer, p),
        ]
        for p in chosen
    ]
    return texts + general_chats(tokenizer)


def general_chats(tokenizer: Any) -> list[list[int]]:
    """Token ids of a few chats about other things, rendered by the model's template."""
    template = of_tokenizer(tokenizer)
    chats = [
        [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        for question, answer in GENERAL
    ]
    texts = [template.render(chat, add_generation_prompt=False) for chat in chats]
    return [list(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
