"""Log-probabilities of chosen tokens without a tensor of all logits kept for the backward pass."""

from typing import Any

import torch

from srl_edge.trainers.torch_backend.sizes import VOCABULARY_CHUNK


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
        # The same memory for each chunk: to be given new pages costs as much as the arithmetic.
        shape = min(VOCABULARY_CHUNK, len(targets)), len(weight)
        narrow = torch.empty(shape, dtype=weight.dtype, device=hidden.device)
        is_wide = weight.dtype == torch.float32
        wide = narrow if is_wide else torch.empty(shape, device=hidden.device)
        for at in range(0, len(targets), VOCABULARY_CHUNK):
            here = slice(at, at + VOCABULARY_CHUNK)
            chunk, ids = hidden[here], targets[here, None]
            logits, scores = narrow[: len(chunk)], wide[: len(chunk)]
            torch.mm(chunk, weight.T, out=logits)
            scores = scores if is_wide else scores.copy_(logits)
            top = scores.amax(-1, keepdim=True)
            chosen = scores.gather(1, ids) - top
            total = scores.sub_(top).exp_().sum(-1, keepdim=True)
            logprobs[here] = (chosen - total.log())[:, 0]
            likely = scores if is_wide else logits.copy_(scores)
            mean = (likely @ weight).float() / total
            # Entropy = log of the normalizer - mean logit, and the mean logit is hidden . mean.
            average = (mean * chunk.float()).sum(-1)
            entropies[here] = (total.log() + top)[:, 0] - average
            if slopes is not None:
                slopes[here] = weight[targets[here]] - mean.to(weight.dtype)
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
