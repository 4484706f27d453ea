"""Log-probabilities of chosen tokens without a tensor of all logits kept for the backward pass."""

from typing import Any

import torch

CHUNK = 128  # positions projected to the vocabulary at a time: what stays in a CPU's cache


class _LinearLogProbs(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target] and the entropy, one chunk of positions at a time.

    The gradient of one log-probability with respect to its hidden state is
    weight[target] - softmax @ weight, which the forward pass has at hand; so nothing of vocabulary
    size is stored, and nothing is computed twice. The projection itself is frozen.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logprobs = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        entropies = torch.empty_like(logprobs)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for at in range(0, len(targets), CHUNK):
            here = slice(at, at + CHUNK)
            logits = (hidden[here] @ weight.T).float()
            chosen = logits.gather(1, targets[here, None])[:, 0]
            scores = torch.log_softmax(logits, -1)
            logprobs[here] = scores.gather(1, targets[here, None])[:, 0]
            mean = scores.exp_().to(weight.dtype) @ weight
            # Entropy = log of the normalizer - mean logit, and the mean logit is hidden . mean.
            average = (mean.float() * hidden[here].float()).sum(-1)
            entropies[here] = chosen - logprobs[here] - average
            if slopes is not None:
                slopes[here] = weight[targets[here]] - mean
        if slopes is not None:
            ctx.save_for_backward(slopes)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return (grads[0][:, None] * slopes.float()).to(slopes.dtype), None, None


def linear_logprobs(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each target token and the entropy of each distribution.

    hidden [N, d], weight [V, d] (frozen), targets [N]; returns two fp32 tensors [N], the second
    without gradient.
    """
    logprobs, entropies = _LinearLogProbs.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]
    return logprobs, entropies


def padded(flat: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Values of all tokens [N] as rows: each where `mask` is set, zero elsewhere."""
    return torch.zeros(mask.shape, device=flat.device).masked_scatter(mask, flat)
