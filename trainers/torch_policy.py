"""The policy on PyTorch: a frozen model, LoRA weights in fp32, and a merged copy that samples."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from srl_edge import losses
from srl_edge.errors import InputError
from srl_edge.models import load_tokenizer, stop_ids
from srl_edge.recipe import Trainer
from srl_edge.trainers.logprobs import linear_logprobs
from srl_edge.trainers.lora import LoraLinear, add_lora, save_adapter
from srl_edge.trainers.policy import Loss
from srl_edge.trainers.shared_prefix import ATTENTION, Pack, PackedAttention, pack
from srl_edge.trainers.torch_sampler import row_path, run, sample
from srl_edge.types import Rollout, Sample


class TorchPolicy:
    """Implements `Policy`; see there for the contract of each verb."""

    def __init__(self, model: Path, settings: Trainer, seed: int) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.manual_seed(seed)
        self.settings = settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = load_tokenizer(model)
        self.stop_ids = stop_ids(model)
        network = AutoModelForCausalLM.from_pretrained(
            model, dtype=native_dtype(settings.dtype), attn_implementation=ATTENTION
        ).to(self.device)
        if getattr(network.config, "final_logit_softcapping", None):
            raise InputError(f"{model}: soft-capped logits are not supported by the trainer.")
        network.eval()
        self.model_name = str(model)
        self.head: torch.Tensor = network.get_output_embeddings().weight.detach()
        self.decoder = network.get_decoder()
        self.layers = add_lora(self.decoder, settings.lora_rank, settings.lora_alpha)
        self.optimizer = torch.optim.AdamW(self._trainable().values(), weight_decay=0.0)
        self._merged: Any = None
        self._stale = True

    def _trainable(self) -> dict[str, torch.nn.Parameter]:
        return {n: p for n, p in self.decoder.named_parameters() if p.requires_grad}

    def sample(
        self, prompts: Sequence[tuple[int, ...]], group_size: int, max_new_tokens: int,
        temperature: float, seed: int,
    ) -> list[list[Rollout]]:  # fmt: skip
        return sample(
            self._sampler(), self.head, prompts, group_size, max_new_tokens, temperature,
            self.stop_ids, seed, self.tokenizer.decode,
        )  # fmt: skip

    @torch.no_grad()
    def _sampler(self) -> Any:
        """The decoder with the adapter merged in: no LoRA cost a token, as it will be shipped."""
        if self._merged is None:
            self._merged = _merged_copy(self.decoder)
        if self._stale:
            for name, layer in self.layers.items():
                self._merged.get_submodule(name).weight.copy_(layer.merged_weight())
            self._stale = False
        return self._merged

    def forward_backward(self, groups: Sequence[Sequence[Sample]], loss: Loss) -> dict[str, float]:
        count = sum(map(len, groups))
        tokens = sum(len(s.completion_ids) for group in groups for s in group)
        total = count if loss.by_sequence else tokens
        sums: dict[str, float] = {"loss": 0.0, "entropy": 0.0, "clip_ratio": 0.0, "mismatch": 0.0}
        flat = packed_tokens = 0
        for group in groups:
            packs = pack([s.prompt_ids for s in group], [s.completion_ids for s in group])
            for packed in (p for whole in packs for p in self._micro_batches(whole)):
                members = [group[i] for i in packed.owners]
                flat += sum(len(s.prompt_ids) + len(s.completion_ids) for s in members)
                packed_tokens += packed.tokens
                for key, value in self._backward(packed, members, loss, total).items():
                    sums[key] += value
        return {
            "loss": sums["loss"],
            "entropy": sums["entropy"] / tokens,
            "clip_ratio/region_mean": sums["clip_ratio"] / tokens,
            "sampling/sampling_logp_difference/mean": sums["mismatch"] / tokens,
            "token_ratio": flat / packed_tokens,
            "num_tokens": float(packed_tokens),
        }

    def _micro_batches(self, packed: Pack) -> Iterator[Pack]:
        """Cut a pack's rows so that no pass has more tokens than the recipe allows."""
        room = self.settings.micro_batch_tokens - len(packed.trunk)
        start = used = 0
        for row, ids in enumerate(packed.rows):
            if row > start and used + len(ids) > room:
                yield _rows_of(packed, start, row)
                start, used = row, 0
            used += len(ids)
        yield _rows_of(packed, start, len(packed.rows))

    def _backward(
        self, packed: Pack, members: Sequence[Sample], loss: Loss, total: int
    ) -> dict[str, float]:
        hidden = run(self.decoder, packed, PackedAttention(packed, self.device))
        lengths = [len(s.completion_ids) for s in members]
        before = torch.cat(
            [
                row_path(packed, row, self.device)[-length - 1 : -1]
                for row, length in enumerate(lengths)
            ]
        )
        targets = [i for s in members for i in s.completion_ids]
        flat, entropies = linear_logprobs(
            hidden[before], self.head, torch.tensor(targets, device=self.device)
        )
        mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        mask = mask.to(self.device)
        logprobs = _padded(flat, mask)
        kept = mask.float()
        metrics = {"entropy": float(entropies.sum())}
        if loss.kind == "nll":
            objective = logprobs
        else:
            old = _padded(
                torch.tensor([x for s in members for x in s.old_logprobs], device=self.device), mask
            )
            advantages = torch.tensor([[s.advantage] for s in members], device=self.device)
            objective = losses.clipped_objective(
                torch, logprobs, old, advantages, loss.clip_low, loss.clip_high
            )
            with torch.no_grad():
                ratio = torch.exp(logprobs - old)
                high = (ratio > 1 + loss.clip_high) & (advantages > 0)
                low = (ratio < 1 - loss.clip_low) & (advantages < 0)
                metrics["clip_ratio"] = float(((high | low) * kept).sum())
                metrics["mismatch"] = float(((logprobs - old).abs() * kept).sum())
        value = -losses.weighted_sum(objective, kept, loss.by_sequence) / total
        value.backward()
        return {"loss": float(value.detach()), **metrics}

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        parameters = self._trainable().values()
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._stale = True
        return float(norm)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = {}
        for name, parameter in self._trainable().items():
            state[name] = parameter.detach()
            for key, value in self.optimizer.state.get(parameter, {}).items():
                state[f"{name}/{key}"] = value
        save_file(state, folder / "training.safetensors")
        self.save_adapter(folder / "adapter")

    def load(self, folder: Path) -> None:
        state = load_file(folder / "training.safetensors")
        for name, parameter in self._trainable().items():
            parameter.data.copy_(state[name])
            mine = {k.rsplit("/", 1)[1]: v for k, v in state.items() if k.startswith(f"{name}/")}
            if mine:
                self.optimizer.state[parameter] = mine
        self._stale = True

    def save_adapter(self, folder: Path) -> None:
        settings = self.settings
        save_adapter(folder, self.layers, settings.lora_rank, settings.lora_alpha, self.model_name)


def native_dtype(name: str) -> torch.dtype:
    """`float32`, `bfloat16`, or for `auto` bfloat16 where the hardware multiplies it natively."""
    if name != "auto":
        return getattr(torch, name)  # type: ignore[no-any-return]
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32


def _rows_of(packed: Pack, start: int, stop: int) -> Pack:
    return Pack(
        packed.trunk, packed.rows[start:stop], packed.bounds[start:stop], packed.owners[start:stop]
    )


def _padded(flat: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.zeros(mask.shape, device=flat.device).masked_scatter(mask, flat)


def _merged_copy(decoder: Any) -> Any:
    """A decoder with plain linear layers in place of LoRA ones; all other weights are shared."""
    shared = {id(p): p for p in decoder.parameters()}
    merged = copy.deepcopy(decoder, shared)
    for name, module in list(merged.named_modules()):
        if isinstance(module, LoraLinear):
            plain = copy.copy(module.linear)
            plain._parameters = dict(plain._parameters)
            plain.weight = torch.nn.Parameter(plain.weight.detach().clone(), requires_grad=False)
            merged.set_submodule(name, plain)
    return merged
