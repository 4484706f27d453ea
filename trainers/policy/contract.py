"""What a training backend offers the loop, on token ids alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from srl_edge.method.types import Rollout, Sample
from srl_edge.trainers.policy.packing import PrefixCache


@dataclass(frozen=True, slots=True)
class Loss:
    """Which loss `forward_backward` takes the gradient of.

    nll: negative log-likelihood of the completion. clipped: the GRPO objective on rollouts, less
    `kl` times the divergence from the model without adapter. Log-probabilities are taken at the
    temperature that the rollouts were sampled at. importance_cap: rollouts come from other numerics
    than the policy's; instead of clipping, weigh each token by p / p_sampler, at most by the cap.
    """

    kind: Literal["nll", "clipped"]
    clip_low: float = 0.2
    clip_high: float = 0.2
    by_sequence: bool = True
    kl: float = 0.0
    temperature: float = 1.0
    importance_cap: float | None = None


# From a PEFT folder of the adapter's shape to a folder of the model as ONNX, which takes such an
# adapter as input: what `trainer.sampler = "onnx"` samples from. The exporters make it.
OnnxBase = Callable[[Path], Path]


class Policy(Protocol):
    """A model with a trainable adapter. The loop names neither torch nor mlx."""

    tokenizer: Any
    stop_ids: list[int]

    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> list[list[Rollout]]:
        """Sample `group_size` completions of each prompt; greedy at temperature 0.

        prefix_cache: prompts of the call before, with the same adapter, which these may continue.
        """

    def fit_rounding(self, texts: Sequence[Sequence[int]]) -> None:
        """Fit to texts of token ids what rounds weights as an artifact does, if anything."""

    def forward_backward(self, groups: Sequence[Sequence[Sample]], loss: Loss) -> dict[str, float]:
        """Add the gradient of the batch's mean loss; samples of one group may share a prefix."""

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        """Update the adapter; return the gradient norm before clipping.

        Where that is not finite, nothing is changed but that the gradient is dropped.
        """

    def drop_gradient(self) -> None:
        """Forget the gradient that `forward_backward` added up."""

    def finite(self) -> bool:
        """Whether every weight of the adapter is a finite number."""

    def divergence(self, texts: Sequence[Sequence[int]]) -> float:
        """Mean KL(without adapter || with it) in nats over the next tokens of texts."""

    def save(self, folder: Path) -> None:
        """Write the adapter (a PEFT folder) and what training needs to go on exactly."""

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote."""

    def load_adapter(self, folder: Path) -> None:
        """Take the adapter of a PEFT folder, with a fresh optimizer."""

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter alone, as a PEFT folder."""
