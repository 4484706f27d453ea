"""Log-probabilities of chosen tokens on MLX, without all logits kept for the backward pass."""

import mlx.core as mx

CHUNK = 256  # positions projected to the vocabulary at a time


def linear_logprobs(
    hidden: mx.array,
    weight: mx.array,
    targets: mx.array,
    temperature: float = 1.0,
    softcap: float | None = None,
) -> tuple[mx.array, mx.array]:
    """Log-probability of each target token and the entropy of each distribution.

    hidden [N, d], weight [V, d] (frozen), targets [N]; returns two fp32 arrays [N], the second
    without gradient. The gradient of one log-probability with respect to its hidden state is
    weight[target] - softmax @ weight, over the temperature, each row of the weight times the slope
    of the bent logit where `softcap` bends them. The forward pass has it at hand; so nothing of
    vocabulary size is stored, and nothing is computed twice.
    """
    parts = [
        _chunk(hidden[at : at + CHUNK], weight, targets[at : at + CHUNK], temperature, softcap)
        for at in range(0, len(targets), CHUNK)
    ]
    logprobs, entropies = (mx.concatenate([part[i] for part in parts]) for i in (0, 1))
    return logprobs, mx.stop_gradient(entropies)


def bent_logits(
    hidden: mx.array, weight: mx.array, softcap: float | None
) -> tuple[mx.array, mx.array | None]:
    """Logits [N, V] in fp32, within +-softcap if there is one, and their slopes, if they bend."""
    logits = (hidden @ weight.T).astype(mx.float32)
    if softcap is None:
        return logits, None
    share = mx.tanh(logits / softcap)
    return share * softcap, 1 - share * share


def _chunk(
    hidden: mx.array,
    weight: mx.array,
    targets: mx.array,
    temperature: float,
    softcap: float | None,
) -> tuple[mx.array, ...]:
    at = targets[:, None]

    @mx.custom_function
    def forward(hidden: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        logits, bend = bent_logits(hidden, weight, softcap)
        logits = logits / temperature
        scores = logits - mx.logsumexp(logits, -1, keepdims=True)
        likely = mx.exp(scores)
        logprobs = mx.take_along_axis(scores, at, 1)[:, 0]
        entropy = -(likely * scores).sum(-1)
        own = weight[targets]
        if bend is not None:
            likely = likely * bend
            own = own * mx.take_along_axis(bend, at, 1).astype(own.dtype)
        slope = (own - likely.astype(weight.dtype) @ weight) / temperature
        return logprobs, entropy, slope

    @forward.vjp
    def backward(
        primals: mx.array, cotangents: list[mx.array], outputs: list[mx.array]
    ) -> mx.array:
        del primals
        slopes = cotangents[0][:, None] * outputs[2].astype(mx.float32)
        return slopes.astype(hidden.dtype)

    return forward(hidden)  # type: ignore[return-value]
