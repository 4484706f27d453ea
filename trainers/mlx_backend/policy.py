"""The policy on MLX: a frozen model, quantized or not, and LoRA weights in fp32."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.optimizers import AdamW, clip_grad_norm
from safetensors.numpy import load_file, save_file

from srl_edge.errors import InputError
from srl_edge.method import algorithm
from srl_edge.method.types import Rollout, Sample
from srl_edge.models import adapter_folder
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.recipe import Trainer
from srl_edge.trainers.mlx_backend.cached_decoder import MlxCachedDecoder
from srl_edge.trainers.mlx_backend.cached_decoding import MlxCachedDecoding
from srl_edge.trainers.mlx_backend.decoder import LoraLinear, adapt
from srl_edge.trainers.mlx_backend.decoding import MlxDecoding
from srl_edge.trainers.mlx_backend.loading import limit_memory, load
from srl_edge.trainers.mlx_backend.logprobs import bent_logits, linear_logprobs
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.policy.objective import Part, add, objective, over_packs, watched
from srl_edge.trainers.policy.packing import Pack, PrefixCache, before_each
from srl_edge.trainers.policy.sampling import sample

Weights = dict[str, mx.array]
NO_OTHER = "trainer.sampler = 'onnx' and 'vllm' need trainer.backend = 'torch'."


class MlxPolicy:
    """Implements `Policy`; see there for the contract of each verb."""

    def __init__(self, model: Path, settings: Trainer, seed: int) -> None:
        if settings.sampler != "torch":
            raise InputError(NO_OTHER)
        if settings.device != "auto":
            raise InputError(f"trainer.device = '{settings.device}' is for torch; mlx: auto.")
        if settings.optimizer != "adamw":
            raise InputError(
                f"trainer.optimizer = '{settings.optimizer}' is for torch; mlx: adamw."
            )
        limit_memory()
        self.settings = settings
        self.tokenizer = load_tokenizer(model)
        self.stop_ids = stop_ids(model)
        self.model_name = str(model)
        self.decoder = load(
            model,
            native_dtype(settings.dtype),
            settings.quantization,
            settings.gradient_checkpointing,
        )
        cached = isinstance(self.decoder, MlxCachedDecoder)
        self.decoding: Any = MlxCachedDecoding if cached else MlxDecoding
        keys = iter(mx.random.split(mx.random.key(seed), 10_000))

        def lora(linear: nn.Module) -> LoraLinear:
            return LoraLinear(linear, settings.lora_rank, settings.lora_alpha, next(keys))

        self.layers = adapt(self.decoder.model, lora)
        self._new_optimizer()

    def _new_optimizer(self) -> None:
        self.optimizer = AdamW(0.0, weight_decay=0.0, bias_correction=True)
        self.optimizer.init(self._trainable())
        self._gradients: Weights = {}

    def _trainable(self) -> Weights:
        """Adapter weights by PEFT's names."""
        return {
            f"{name}.lora_{side}.weight": layer[f"lora_{side}"]
            for name, layer in self.layers.items()
            for side in "AB"
        }

    def _set(self, weights: Weights) -> None:
        for name, value in weights.items():
            layer, side = name.removesuffix(".weight").rsplit(".lora_", 1)
            self.layers[layer][f"lora_{side}"] = value

    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> list[list[Rollout]]:
        return sample(
            self.decoding(self.decoder),
            prompts,
            group_size,
            max_new_tokens,
            temperature,
            self.stop_ids,
            seed,
            self.tokenizer.decode,
            prefix_cache,
        )

    def fit_rounding(self, texts: Sequence[Sequence[int]]) -> None:
        """Nothing is rounded as an artifact here."""

    def forward_backward(self, groups: Sequence[Sequence[Sample]], loss: Loss) -> dict[str, float]:
        return over_packs(groups, loss, self._backward)

    def _backward(self, parts: Sequence[Part], loss: Loss, total: int) -> dict[str, float]:
        """Gradient of a pack: its rows in passes that memory has room for, then the trunk."""
        ((packed, group),) = parts
        weights = self._trainable()

        def trunk_of(weights: Weights) -> list[mx.array]:
            self._set(weights)
            return self.decoder.trunk(packed)

        def trunk_from(*values: mx.array) -> list[mx.array]:
            return trunk_of(dict(zip(weights, values, strict=True)))

        trunk = trunk_of(weights)
        plain = self._without_adapter(lambda: trunk_of(weights)) if loss.kl else None
        mx.eval(trunk, plain)
        sums: dict[str, float] = {}
        slopes: list[mx.array] = []
        for rows in packed.cut(self.settings.micro_batch_tokens):
            members = [group[i] for i in rows.owners]
            more, slope = self._backward_rows(
                rows, packed, weights, trunk, plain, members, loss, total
            )
            add(sums, more)
            # In fp32, so that the number of passes does not show in the sum.
            wide = [x.astype(mx.float32) for x in slope]
            slopes = [a + b for a, b in zip(slopes, wide, strict=True)] if slopes else wide
            mx.eval(slopes, self._gradients)
        back = [a.astype(b.dtype) for a, b in zip(slopes, trunk, strict=True)]
        _, gradients = mx.vjp(trunk_from, list(weights.values()), back)
        self._accumulate(dict(zip(weights, gradients, strict=True)))
        mx.eval(self._gradients)
        self._set(weights)
        return sums

    def _backward_rows(
        self,
        rows: Pack,
        whole: Pack,
        weights: Weights,
        trunk: list[mx.array],
        plain: Any,
        members: Sequence[Sample],
        loss: Loss,
        total: int,
    ) -> tuple[dict[str, float], list[mx.array]]:
        """Sums of a pass, and the gradient by the trunk's keys and values."""
        padded, mask = _padding([len(s.completion_ids) for s in members])
        before = advantages = reference = None
        if loss.kind == "clipped":
            before = padded(mx.array([x for s in members for x in s.old_logprobs]))
            advantages = mx.array([[s.advantage] for s in members])
        if loss.kl:
            flat, _ = self._without_adapter(
                lambda: self._logprobs(rows, whole, plain, members, loss)
            )
            reference = padded(flat)

        def value(weights: Weights, trunk: list[mx.array]) -> tuple[mx.array, mx.array, mx.array]:
            self._set(weights)
            flat, entropies = self._logprobs(rows, whole, trunk, members, loss)
            logprobs = padded(flat)
            frozen = mx.stop_gradient(logprobs)
            wanted = objective(mx, loss, logprobs, frozen, before, advantages, reference)
            return (
                -algorithm.weighted_sum(wanted, mask, loss.by_sequence) / total,
                frozen,
                entropies,
            )

        (result, frozen, entropies), (gradients, slope) = mx.value_and_grad(value, (0, 1))(
            weights, trunk
        )
        self._accumulate(gradients)
        mx.eval(result, frozen, entropies, slope, self._gradients)
        self._set(weights)
        sums = watched(mx, loss, frozen, before, advantages, reference, mask)
        return sums | {"loss": float(result), "entropy": float(entropies.sum())}, slope

    def _logprobs(
        self, rows: Pack, whole: Pack, trunk: list[mx.array], members: Sequence[Sample], loss: Loss
    ) -> tuple[mx.array, mx.array]:
        """Log-probabilities of all completion tokens, and entropies, at the loss's temperature."""
        hidden = self.decoder.rows(rows, trunk, whole)
        completions = [s.completion_ids for s in members]
        targets = mx.array([i for ids in completions for i in ids])
        chosen = hidden[mx.array(before_each([rows], completions))]
        return linear_logprobs(
            chosen, self.decoder.head, targets, loss.temperature, self.decoder.softcap
        )

    def _without_adapter(self, compute: Callable[[], Any]) -> Any:
        for layer in self.layers.values():
            layer.switch(False)
        try:
            found = compute()
            mx.eval(found)
            return found
        finally:
            for layer in self.layers.values():
                layer.switch(True)

    def _accumulate(self, gradients: Weights) -> None:
        mine = self._gradients
        self._gradients = {k: mine[k] + g if k in mine else g for k, g in gradients.items()}

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        gradients, norm = clip_grad_norm(self._gradients, max_grad_norm)
        if not mx.isfinite(norm):
            self.drop_gradient()
            return float(norm.item())
        self.optimizer.learning_rate = learning_rate
        self._set(self.optimizer.apply_gradients(gradients, self._trainable()))
        self._gradients = {}
        mx.eval(self._trainable(), self.optimizer.state)
        return float(norm.item())

    def drop_gradient(self) -> None:
        self._gradients = {}

    def finite(self) -> bool:
        return all(bool(mx.isfinite(weight).all()) for weight in self._trainable().values())

    def divergence(self, texts: Sequence[Sequence[int]]) -> float:
        total = 0.0
        for text in texts:
            packed = Pack(tuple(text[:1]), (tuple(text[1:]),), (1,), (0,))

            def scores(packed: Pack = packed) -> mx.array:
                hidden = self.decoder.rows(packed, self.decoder.trunk(packed), packed)
                logits, _ = bent_logits(hidden, self.decoder.head, self.decoder.softcap)
                return logits - mx.logsumexp(logits, -1, keepdims=True)

            base, now = self._without_adapter(scores), scores()
            total += float((mx.exp(base) * (base - now)).sum())
        return total / sum(len(text) - 1 for text in texts)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = dict(self._trainable())
        for name, moments in self.optimizer.state.items():
            if isinstance(moments, dict):
                state |= {f"{name}/{key}": value for key, value in moments.items()}
        state["step"] = self.optimizer.step
        save_file({k: np.array(v) for k, v in state.items()}, folder / "training.safetensors")
        self.save_adapter(folder / "adapter")

    def load(self, folder: Path) -> None:
        state = {k: mx.array(v) for k, v in load_file(folder / "training.safetensors").items()}
        self._set({name: state[name] for name in self._trainable()})
        self._new_optimizer()
        for name in self._trainable():
            moments = {k.rsplit("/", 1)[1]: v for k, v in state.items() if k.startswith(f"{name}/")}
            self.optimizer.state[name] = moments
        self.optimizer.state["step"] = state["step"]

    def load_adapter(self, folder: Path) -> None:
        loaded = adapter_folder.read(folder)
        self._set({name: mx.array(loaded[name]) for name in self._trainable()})
        self._new_optimizer()

    def save_adapter(self, folder: Path) -> None:
        weights = {name: np.array(value) for name, value in self._trainable().items()}
        settings = self.settings
        frozen = {
            "backend": "mlx",
            "quantization": settings.quantization,
            "dtype": str(self.decoder.head.dtype).removeprefix("mlx.core."),
        }
        adapter_folder.write(
            folder,
            weights,
            settings.lora_rank,
            settings.lora_alpha,
            self.model_name,
            frozen=frozen,
        )


def native_dtype(name: str) -> mx.Dtype:
    """`float32`, `bfloat16`, or for `auto` bfloat16 on Metal, whose CPU twin is slow at it."""
    if name == "auto":
        return mx.bfloat16 if mx.metal.is_available() else mx.float32
    dtype: mx.Dtype = getattr(mx, name)
    return dtype


def _padding(lengths: Sequence[int]) -> tuple[Callable[[mx.array], mx.array], mx.array]:
    """From values one after another to [B, T], zero after each row's length; and 1 where not."""
    counts = np.array(lengths)
    inside = np.arange(counts.max()) < counts[:, None]
    starts = np.cumsum(counts) - counts
    places = mx.array(np.where(inside, starts[:, None] + np.arange(counts.max()), 0))
    mask = mx.array(inside.astype(np.float32))
    return lambda flat: flat[places] * mask, mask
