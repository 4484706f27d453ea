"""Log-probabilities of chosen tokens on MLX, without all logits kept for the backward pass."""

import mlx.core as mx

CHUNK = 256  # positions projected to the vocabulary at a time


def linear_logprobs(
    hidden: mx.array, weight: mx.array, targets: mx.array
) -> tuple[mx.array, mx.array]:
    """Log-probability of each target token and the entropy of each distribution.

    hidden [N, d], weight [V, d] (frozen), targets [N]; returns two fp32 arrays [N], the second
    without gradient. The gradient of one log-probability with respect to its hidden state is
    weight[target] - softmax @ weight, which the forward pass has at hand; so nothing of vocabulary
    size is stored, and nothing is computed twice.
    """
    parts = [
        _chunk(hidden[at : at + CHUNK], weight, targets[at : at + CHUNK])
        for at in range(0, len(targets), CHUNK)
    ]
    logprobs, entropies = (mx.concatenate([part[i] for part in parts]) for i in (0, 1))
    return logprobs, mx.stop_gradient(entropies)


def _chunk(hidden: mx.array, weight: mx.array, targets: mx.array) -> tuple[mx.array, ...]:
    @mx.custom_function
    def forward(hidden: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        logits = (hidden @ weight.T).astype(mx.float32)
        scores = logits - mx.logsumexp(logits, -1, keepdims=True)
        logprobs = mx.take_along_axis(scores, targets[:, None], 1)[:, 0]
        chosen = mx.take_along_axis(logits, targets[:, None], 1)[:, 0]
        mean = mx.exp(scores).astype(weight.dtype) @ weight
        # Entropy = log of the normalizer - mean logit, and the mean logit is hidden . mean.
        average = (mean.astype(mx.float32) * hidden.astype(mx.float32)).sum(-1)
        return logprobs, chosen - logprobs - average, weight[targets] - mean

    @forward.vjp
    def backward(
        primals: mx.array, cotangents: list[mx.array], outputs: list[mx.array]
    ) -> mx.array:
        del primals
        slopes = cotangents[0][:, None] * outputs[2].astype(mx.float32)
        return slopes.astype(hidden.dtype)

    return forward(hidden)  # type: ignore[return-value]
