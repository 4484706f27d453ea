"""What is wrong with an artifact, in sentences, from what the gate measured."""

from math import exp, lgamma, log

from srl_edge.report.parity_rows import Measured, MisreadChat, NextTokens, ParityRow

MERGED_DIVERGENCE = 1e-3  # nats; both are torch in fp32, so only rounding may differ
CHANCE = 0.025  # of so few equal tokens, where a long text's true share is the least asked for
ADAPTER_EFFECT = 0.85  # cosine of what an adapter adds to the logits, artifact and PEFT
_RUNTIME = "are misread by the runtime's own tokenizer"


def merging_faults(found: NextTokens) -> list[str]:
    """What makes a merge fail: next tokens other than those of the model with its adapter."""
    if found.kl_divergence <= MERGED_DIVERGENCE:
        return []
    return [
        f"merging: the merged model answers otherwise than the model with its adapter beside it: "
        f"divergence {found.kl_divergence:.4f} nats a token, largest logit error "
        f"{found.max_logit_error:.2f}; this adapter cannot be merged exactly: ship it "
        "beside its base (export.adapter = 'separate' in a recipe)."
    ]


def faults(measured: Measured) -> list[str]:
    """What makes an artifact fail, one sentence each, the first difference in it."""
    found, read, tokens = [], measured.readings, measured.next_tokens
    if first := read.first_chat:
        how = "are tokenized differently than in training"
        found.append(_misread(read.chats - read.chats_equal, read.chats, first, how))
    first = read.first_runtime_chat
    if first and first.asked:
        found.append(_misread(read.chats - read.runtime_chats_equal, read.chats, first, _RUNTIME))
    if not read.stop_ids_equal:
        found.append(
            f"ends replies at token ids {read.stop_ids}, the trained model at "
            f"{read.stop_ids_expected}."
        )
    in_long = sum(text.next_tokens.not_finite for text in measured.long)
    if broken := tokens.not_finite + in_long:
        found.append(
            f"computes infinity or NaN at {broken} positions: its numbers have too small a range; "
            "take another precision."
        )
    least = measured.agreement_threshold
    model = "plain model" if measured.reference == "plain" else "merged model"
    if tokens.agreement_but_ties < least:
        found.append(_disagreement(tokens, f"less than {least:.1%}", f"with the {model}"))
    for text in measured.long:
        # A long text has few positions: no alarm where chance on so few explains the difference.
        bound = _by_chance(text.next_tokens.positions, least)
        if text.next_tokens.agreement_but_ties < bound:
            where = f"with the {model} in a text of {text.tokens} tokens"
            found.append(_disagreement(text.next_tokens, f"less than {bound:.1%}", where))
    if measured.adapter and not measured.adapter.switches_exactly:
        found.append("does not go back to what it was after another adapter was active.")
    effect = measured.adapter.adapter_effect if measured.adapter else None
    if effect is not None and effect < ADAPTER_EFFECT:
        found.append(
            f"its separate adapter moves the logits otherwise than in training: cosine "
            f"{effect:.2f}, less than {ADAPTER_EFFECT}; merge it instead "
            "(export.adapter = 'merged')."
        )
    answers = measured.answers
    if answers.worse:
        found.append(
            f"solves significantly fewer problems than the {model}: {answers.lost} "
            f"lost, {answers.won} won (p = {answers.sign_test:.3f})."
        )
    return found


def _by_chance(positions: int, share: float) -> float:
    """The smallest share of equal tokens no rarer than CHANCE where `share` is the truth."""
    if not 0 < share < 1:
        return share
    likely = 0.0
    for equal in range(positions):
        unequal = positions - equal
        ways = lgamma(positions + 1) - lgamma(equal + 1) - lgamma(unequal + 1)
        likely += exp(ways + equal * log(share) + unequal * log(1 - share))
        if likely > CHANCE:
            return equal / positions
    return 1.0


def _misread(count: int, chats: int, first: MisreadChat, how: str) -> str:
    return (
        f"{count} of {chats} chats {how}; first: {first.chat!r}, position "
        f"{first.position}: {first.got!r} in place of {first.expected!r}."
    )


def _disagreement(found: NextTokens, bound: str, where: str) -> str:
    agreed, first = found.agreement_but_ties, found.first_difference
    said = f"agrees {where} on {agreed:.1%} of {found.positions} next tokens, {bound}"
    if first is None:
        return f"{said}."
    return (
        f"{said}; first difference: prompt {first.prompt} step {first.step_index} position "
        f"{first.position}: {first.got!r} in place of {first.expected!r}."
    )


def warnings(measured: Measured) -> list[str]:
    """What those who ship an artifact should know, though it passes."""
    read = measured.readings
    first = read.first_runtime_chat
    if first is None or first.asked:
        return []
    said = _misread(read.chats - read.runtime_chats_equal, read.chats, first, _RUNTIME)
    return [f"{said} For such texts give it token ids."]


def in_words(row: ParityRow) -> str:
    """What the gate found of an artifact, in a line."""
    tokens, answers = row.next_tokens, row.answers
    return (
        f"{row.artifact}: {'passed' if row.passed else 'failed'}: "
        f"{tokens.agreement_but_ties:.1%} of {tokens.positions} next tokens are the "
        f"{row.reference} model's ({row.agreement_threshold:.1%} asked for), divergence "
        f"{tokens.kl_divergence:.4f} nats, "
        f"{row.greedy_texts_equal} of {row.prompts} greedy texts equal, "
        f"{answers.lost} lost and {answers.won} won of {answers.problems} problems, "
        f"peak memory {row.peak_memory_mib:.0f} MiB"
    )
