"""What is wrong with an artifact, in sentences, from what the gate measured."""

from math import sqrt
from typing import Any

MERGED_DIVERGENCE = 1e-3  # nats; both are torch in fp32, so only rounding may differ
ADAPTER_EFFECT = 0.85  # cosine of what an adapter adds to the logits, artifact and PEFT
_RUNTIME = "are misread by the runtime's own tokenizer"


def merging_faults(result: dict[str, Any]) -> list[str]:
    """What makes a merge fail: next tokens other than those of the model with its adapter."""
    if result["kl_divergence"] <= MERGED_DIVERGENCE:
        return []
    return [
        f"merging: the merged model answers otherwise than the model with its adapter beside it: "
        f"divergence {result['kl_divergence']:.4f} nats a token, largest logit error "
        f"{result['max_logit_error']:.2f}; this adapter cannot be merged exactly: ship it "
        "beside its base (export.adapter = 'separate' in a recipe)."
    ]


def faults(result: dict[str, Any]) -> list[str]:
    """What makes an artifact fail, one sentence each, the first difference in it."""
    found = []
    if first := result["first_chat"]:
        count = result["chats"] - result["chats_equal"]
        found.append(_misread(count, result, first, "are tokenized differently than in training"))
    first = result["first_runtime_chat"]
    if first and first["asked"]:
        count = result["chats"] - result["runtime_chats_equal"]
        found.append(_misread(count, result, first, _RUNTIME))
    if not result["stop_ids_equal"]:
        found.append(
            f"ends replies at token ids {result['stop_ids']}, the trained model at "
            f"{result['stop_ids_expected']}."
        )
    if broken := result["not_finite"] + sum(row["not_finite"] for row in result["long"]):
        found.append(
            f"computes infinity or NaN at {broken} positions: its numbers have too small a range; "
            "take another precision."
        )
    least = result["agreement_threshold"]
    model = "plain model" if result.get("reference") == "plain" else "merged model"
    if result["agreement_but_ties"] < least:
        found.append(_disagreement(result, f"less than {least:.1%}", f"with the {model}"))
    for row in result["long"]:
        # A long text has few positions: no alarm where chance on so few explains the difference.
        bound = least - 2 * sqrt(max(0.0, least * (1 - least)) / row["positions"])
        if row["agreement_but_ties"] < bound:
            where = f"with the {model} in a text of {row['tokens']} tokens"
            found.append(_disagreement(row, f"less than {bound:.1%}", where))
    if not result.get("switches_exactly", True):
        found.append("does not go back to what it was after another adapter was active.")
    if (effect := result.get("adapter_effect")) is not None and effect < ADAPTER_EFFECT:
        found.append(
            f"its separate adapter moves the logits otherwise than in training: cosine "
            f"{effect:.2f}, less than {ADAPTER_EFFECT}; merge it instead "
            "(export.adapter = 'merged')."
        )
    if result["sign_test"] < 0.05 and result["lost"] > result["won"]:
        found.append(
            f"solves significantly fewer problems than the {model}: {result['lost']} "
            f"lost, {result['won']} won (p = {result['sign_test']:.3f})."
        )
    return found


def _misread(count: int, result: dict[str, Any], first: dict[str, Any], how: str) -> str:
    return (
        f"{count} of {result['chats']} chats {how}; first: {first['chat']!r}, position "
        f"{first['position']}: {first['got']!r} in place of {first['expected']!r}."
    )


def _disagreement(row: dict[str, Any], bound: str, where: str) -> str:
    agreed = row["agreement_but_ties"]
    said = f"agrees {where} on {agreed:.1%} of {row['positions']} next tokens, {bound}"
    first = row["first_difference"]
    if first is None:
        return f"{said}."
    return (
        f"{said}; first difference: prompt {first['prompt']} step {first['step_index']} position "
        f"{first['position']}: {first['got']!r} in place of {first['expected']!r}."
    )


def warnings(result: dict[str, Any]) -> list[str]:
    """What those who ship an artifact should know, though it passes."""
    first = result["first_runtime_chat"]
    if first is None or first["asked"]:
        return []
    count = result["chats"] - result["runtime_chats_equal"]
    return [f"{_misread(count, result, first, _RUNTIME)} For such texts give it token ids."]


def in_words(result: dict[str, Any]) -> str:
    """What the gate found of an artifact, in a line."""
    agreed, least = result["agreement_but_ties"], result["agreement_threshold"]
    return (
        f"{result['artifact']}: {'passed' if result['passed'] else 'failed'}: "
        f"{agreed:.1%} of {result['positions']} next tokens are the {result['reference']} model's "
        f"({least:.1%} asked for), divergence {result['kl_divergence']:.4f} nats, "
        f"{result['greedy_texts_equal']} of {result['prompts']} greedy texts equal, "
        f"{result['lost']} lost and {result['won']} won of {result['problems']} problems, "
        f"peak memory {result['peak_memory_mib']:.0f} MiB"
    )
