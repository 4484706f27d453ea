"""The policy on PyTorch: a frozen model, LoRA weights in fp32, and a merged copy that samples."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from srl_edge.errors import InputError, StageError, out_of_memory
from srl_edge.method import algorithm
from srl_edge.method.types import Rollout, Sample
from srl_edge.models import loading
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.quantization.formats import AS_SHIPPED
from srl_edge.quantization.gptq import read_codes
from srl_edge.recipe import Trainer
from srl_edge.terminal import progress
from srl_edge.trainers.policy.contract import Loss, OnnxBase
from srl_edge.trainers.policy.objective import Part, add, objective, over_packs, watched
from srl_edge.trainers.policy.packing import Pack, PrefixCache, before_each, chunks
from srl_edge.trainers.policy.sampling import Decoding, sample
from srl_edge.trainers.torch_backend.attention.rows import RowAttention, SideBySide
from srl_edge.trainers.torch_backend.decoder import (
    Causal,
    Decoder,
    Linear,
    family_for,
    from_transformers,
)
from srl_edge.trainers.torch_backend.decoding.pytorch import Plain, TorchDecoding, merged_decoding
from srl_edge.trainers.torch_backend.decoding.vllm_sampler import VllmSampler, require
from srl_edge.trainers.torch_backend.device import (
    chosen_device,
    empty_cache,
    frozen_dtype,
    return_freed_memory,
)
from srl_edge.trainers.torch_backend.logprobs import linear_logprobs, padded
from srl_edge.trainers.torch_backend.lora import LoraLinear, load_adapter, save_adapter
from srl_edge.trainers.torch_backend.optimizers import new_optimizer, restore, tensors_of
from srl_edge.trainers.torch_backend.rounding.model import Rounding

_COMPARED = 4  # rollouts of the first batch
_COMPARED_TOKENS = 256  # of chats whose next tokens are compared at once
# Mean error of a log-probability, about three times what SmolLM2-135M has beside bfloat16.
_SAMPLER_ERROR = {"fp32": 0.1, "int8": 0.25, "int4": 1.5}


class TorchPolicy:
    """Implements `Policy`; see there for the contract of each verb."""

    def __init__(
        self, model: Path, settings: Trainer, seed: int, onnx_base: OnnxBase | None = None
    ) -> None:
        if settings.quantization in AS_SHIPPED and settings.sampler != "torch":
            raise InputError(
                f"trainer.quantization = {settings.quantization!r} samples from its own rounded "
                "weights; set trainer.sampler to torch."
            )
        if settings.starts_vllm:
            require(settings.vllm_command)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._seed = seed
        torch.manual_seed(seed)
        self.settings = settings
        self.micro_batch_tokens = settings.micro_batch_tokens
        self.device = chosen_device(settings)
        self.tokenizer = load_tokenizer(model)
        self.stop_ids = stop_ids(model)
        dtype = frozen_dtype(settings, self.device)
        network = loading.network(model, dtype=dtype)
        if getattr(network.config, "final_logit_softcapping", None):
            raise InputError(f"{model}: soft-capped logits are not supported by the trainer.")
        network.eval().requires_grad_(False)
        ends = network.get_input_embeddings(), network.get_output_embeddings()
        for weight in {end.weight for end in ends}:
            # A view of the file would keep all of it mapped, the layers' weights too.
            weight.data = weight.data.clone()
        self.model_name = str(model)
        self.head = network.get_output_embeddings().weight.detach().to(self.device)
        self.layers: list[LoraLinear] = []
        decoder = from_transformers(network, self._adapted).to(self.device)
        self.decoder = replace(decoder, checkpointed=settings.gradient_checkpointing)
        for layer in self.layers:
            # One after the other, so that no device holds all of them whole.
            layer.settle(self.device, settings.quantization)
        self.rounding: Rounding | None = None
        if settings.quantization in AS_SHIPPED:
            family, width = family_for(network.config), network.config.hidden_size
            tied = ends[0].weight is ends[1].weight
            self._round_ends(settings.quantization, tied, family.embedding_scale(width))
        self.base = self.decoder.with_linears(lambda layer: layer.base)
        return_freed_memory()
        self._new_optimizer()
        self._sampler: Decoding | VllmSampler | None = None
        self._vllm: VllmSampler | None = None
        self._onnx: Any = None
        self._compared = False
        if settings.sampler == "onnx":
            assert onnx_base, "the caller brings what it is exported with"
            self._onnx = self._onnx_decoding(onnx_base)

    def _adapted(self, linears: dict[str, torch.nn.Linear]) -> LoraLinear:
        self.layers.append(LoraLinear(linears, self.settings.lora_rank, self.settings.lora_alpha))
        return self.layers[-1]

    def _round_ends(self, artifact: str, tied: bool, scale: float) -> None:
        embed = self.decoder.embed
        table = self.head if tied else embed.weight.detach()
        layers = [layer.rounding for layer in self.layers if layer.rounding]
        self.rounding = Rounding(artifact, layers, table, self.head, scale)
        self.head, rows = self.rounding.head, self.rounding.rows
        self.decoder = replace(self.decoder, embed=torch.nn.Embedding.from_pretrained(rows))

    def _before_head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.rounding.before_head(hidden) if self.rounding else hidden

    def fit_rounding(self, texts: Sequence[Sequence[int]]) -> None:
        if self.rounding:
            self._sampler = None
            self.rounding.fit(self.decoder, texts)
            self.head = self.rounding.head
            return_freed_memory()

    def _trainable(self) -> dict[str, torch.nn.Parameter]:
        return {f"{x.names[0]}.{n}": p for x in self.layers for n, p in x.named_parameters()}

    def _new_optimizer(self) -> None:
        self.optimizer = new_optimizer(self.settings.optimizer, self._trainable().values())

    def sample(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> list[list[Rollout]]:
        if self._sampler is None:
            return_freed_memory()  # of activations
            self._sampler = self._new_sampler()
        call = (
            prompts,
            group_size,
            max_new_tokens,
            temperature,
            self.stop_ids,
            seed,
            self.tokenizer.decode,
        )
        if isinstance(self._sampler, VllmSampler):
            return self._sampler.sample(*call)
        groups = self._sampled(self._sampler, call, prefix_cache)
        if self._onnx is not None and not self._compared and temperature:
            self._compare([group[0] for group in groups[:_COMPARED]], temperature)
        return groups

    @torch.no_grad()
    def _compare(self, rollouts: Sequence[Rollout], temperature: float) -> None:
        """Raise StageError where ONNX Runtime samples from another model than the one that trains.

        What quantization makes of log-probabilities is weighed by `importance_cap`; this is for
        graphs that compute something else.
        """
        errors = []
        for rollout in rollouts:
            ids = torch.tensor([*rollout.prompt_ids, *rollout.completion_ids], device=self.device)
            asked = len(rollout.prompt_ids)
            hidden = self.decoder(ids, Causal([len(ids)], self.device))[asked - 1 : -1]
            scores = torch.log_softmax(self._sampling_head()(hidden).float() / temperature, -1)
            own = scores.gather(1, ids[asked:, None])[:, 0]
            errors.append((own.cpu() - torch.tensor(rollout.logprobs)).abs())
        self._compared = True
        error = float(torch.cat(errors).mean())
        kind = self.settings.sampler_quantization
        if not error <= _SAMPLER_ERROR[kind]:
            raise StageError(
                f"trainer.sampler = 'onnx': its log-probabilities are {error:.2f} a token from "
                f"those of the model that trains, more than {_SAMPLER_ERROR[kind]} ({kind}), so it "
                "samples from another model; set trainer.sampler = 'torch'."
            )

    @torch.no_grad()
    def _sampled(
        self, sampler: Any, call: tuple[Any, ...], prefix_cache: PrefixCache | None
    ) -> list[list[Rollout]]:
        """As `sample`, of half the prompts after the other where memory does not suffice."""
        given = (*call, prefix_cache)
        try:
            return sample(sampler, *given)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # Out of the handler: what the exception refers to would stay in memory.
        prompts, group_size, max_new_tokens, *rest = call
        if len(prompts) == 1:
            raise StageError(
                f"out of memory, where {group_size} replies of {max_new_tokens} tokens to one "
                "prompt are sampled; lower stages.group_size or stages.max_new_tokens, or take a "
                "smaller model."
            )
        half = len(prompts) // 2
        progress.say(f"train: out of memory; {half} prompts of {len(prompts)} are sampled at once.")
        return_freed_memory()
        empty_cache(self.device)
        parts = (prompts[:half], prompts[half:])
        return [
            group
            for part in parts
            for group in self._sampled(sampler, (part, group_size, max_new_tokens, *rest), None)
        ]

    def _new_sampler(self) -> Decoding | VllmSampler:
        if self._onnx is not None:
            self._onnx.load_adapter(self.layers)
            return self._onnx  # type: ignore[no-any-return]
        if self.settings.sampler == "vllm":
            return self._updated_vllm()
        if self.rounding or not self.settings.samples_merged:
            return TorchDecoding(self.decoder, self._sampling_head())
        return merged_decoding(self.decoder, self.head)

    def _sampling_head(self) -> Linear:
        # A copy in another layout: made anew, so that training has its room.
        plain = Plain(self.head, None)
        return lambda hidden: plain(self._before_head(hidden))

    def _updated_vllm(self) -> VllmSampler:
        if self._vllm is None:
            settings, dtype = self.settings, str(self.head.dtype).removeprefix("torch.")
            model, rank = Path(self.model_name), settings.lora_rank
            self._vllm = (
                VllmSampler(settings.vllm_command, model, dtype, rank, self._seed)
                if settings.starts_vllm
                else VllmSampler.reached(settings.vllm_url, settings.vllm_folder)
            )
        self._vllm.load_adapter(self.save_adapter)
        return self._vllm

    def _onnx_decoding(self, onnx_base: OnnxBase) -> Any:
        from srl_edge.trainers.torch_backend.decoding.onnx_sampler import OnnxDecoding

        with tempfile.TemporaryDirectory() as scratch:
            self.save_adapter(Path(scratch))
            folder = onnx_base(Path(scratch))
        return OnnxDecoding(folder, self.layers, self.settings.threads)

    def forward_backward(self, groups: Sequence[Sequence[Sample]], loss: Loss) -> dict[str, float]:
        # Every gradient is followed by an update, which makes the merged weights stale; without
        # them there is room for what the backward pass keeps.
        self._sampler = None
        return_freed_memory()
        return over_packs(groups, loss, self._fitted, self.micro_batch_tokens)

    def _fitted(self, parts: Sequence[Part], loss: Loss, total: int) -> dict[str, float]:
        """`_backward`, in passes of half the tokens where memory does not suffice."""
        before = [None if p.grad is None else p.grad.clone() for p in self._trainable().values()]
        while True:
            try:
                return self._backward(parts, loss, total)
            except RuntimeError as error:
                cut = [rows for packed, _ in parts for rows in packed.cut(self.micro_batch_tokens)]
                single = len(parts) == 1 and all(len(rows.rows) == 1 for rows in cut)
                if not out_of_memory(error):
                    raise
                if single:
                    longest = max(len(row) for packed, _ in parts for row in packed.rows)
                    raise StageError(
                        f"out of memory in a pass of one reply, of {longest} tokens; lower "
                        "stages.max_new_tokens or leave long rows out "
                        "(data.max_step_characters), or take a smaller model."
                    ) from None
            # Out of the handler: what the exception refers to would stay in memory.
            self.micro_batch_tokens //= 2
            progress.say(f"train: out of memory; passes of {self.micro_batch_tokens} tokens now.")
            for parameter, grad in zip(self._trainable().values(), before, strict=True):
                parameter.grad = None if grad is None else grad.clone()
            empty_cache(self.device)
            if len(parts) > 1:
                sums: dict[str, float] = {}
                for part in parts:
                    add(sums, self._fitted([part], loss, total))
                return sums

    def _backward(self, parts: Sequence[Part], loss: Loss, total: int) -> dict[str, float]:
        """Gradient of packs: their trunks once, and rows in passes that memory has room for."""
        texts = [packed.trunk for packed, _ in parts]
        trunks = self.decoder.keys_values(texts)
        leaves = [[tuple(x.detach().requires_grad_() for x in y) for y in t] for t in trunks]
        plain = None
        if loss.kl:
            with torch.no_grad():
                plain = self.base.keys_values(texts)
        passes = [parts]
        if len(parts) == 1:
            ((packed, group),) = parts
            passes = [[(rows, group)] for rows in packed.cut(self.micro_batch_tokens)]
        sums: dict[str, float] = {}
        slopes: list[torch.Tensor] = []
        heads = [x for trunk in leaves for layer in trunk for x in layer]
        for these in passes:
            add(sums, self._backward_rows(these, leaves, plain, loss, total))
            # In fp32, so that the number of passes does not show in the sum.
            grads = [x.grad.float() for x in heads if x.grad is not None]
            slopes = [a.add_(b) for a, b in zip(slopes, grads, strict=True)] if slopes else grads
            for x in heads:
                x.grad = None
        ends = [x for trunk in trunks for layer in trunk for x in layer]
        torch.autograd.backward(ends, [g.to(x.dtype) for g, x in zip(slopes, ends, strict=True)])
        return sums

    def _backward_rows(
        self, parts: Sequence[Part], trunks: Any, plain: Any, loss: Loss, total: int
    ) -> dict[str, float]:
        members = [group[i] for packed, group in parts for i in packed.owners]
        lengths = torch.tensor([len(s.completion_ids) for s in members])
        mask = (torch.arange(int(lengths.max())) < lengths[:, None]).to(self.device)
        packs = [packed for packed, _ in parts]
        flat, entropies = self._logprobs(self.decoder, packs, trunks, members, loss)
        kept = mask.float()
        before = advantages = reference = None
        if loss.kind == "clipped":
            old = [x for s in members for x in s.old_logprobs]
            before = padded(torch.tensor(old, device=self.device), mask)
            advantages = torch.tensor([[s.advantage] for s in members], device=self.device)
        if loss.kl:
            with torch.no_grad():
                reference = padded(self._logprobs(self.base, packs, plain, members, loss)[0], mask)
        logprobs = padded(flat, mask)
        frozen = logprobs.detach()
        wanted = objective(torch, loss, logprobs, frozen, before, advantages, reference)
        value = -algorithm.weighted_sum(wanted, kept, loss.by_sequence) / total
        value.backward()
        sums = watched(torch, loss, frozen, before, advantages, reference, kept)
        return sums | {"loss": float(value.detach()), "entropy": float(entropies.sum())}

    def _logprobs(
        self,
        decoder: Decoder,
        packs: Sequence[Pack],
        trunks: Any,
        members: Sequence[Sample],
        loss: Loss,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of all completion tokens, and entropies, at the loss's temperature."""
        parts = [
            RowAttention(packed.rows, packed.bounds, trunk, self.device)
            for packed, trunk in zip(packs, trunks, strict=True)
        ]
        if self.device.type == "cuda":
            for rows, window in product(parts, {layer.window for layer in decoder.layers}):
                rows.choose(decoder.heads, window)
        attention = parts[0] if len(parts) == 1 else SideBySide(parts)
        hidden = decoder(attention.ids, attention)
        completions = [s.completion_ids for s in members]
        targets = torch.tensor([i for ids in completions for i in ids], device=self.device)
        chosen = hidden[torch.tensor(before_each(packs, completions), device=self.device)]
        return linear_logprobs(self._before_head(chosen) / loss.temperature, self.head, targets)

    def optim_step(self, learning_rate: float, max_grad_norm: float) -> float:
        parameters = self._trainable().values()
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
        if not torch.isfinite(norm):
            self.drop_gradient()
            return float(norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._adapter_changed()
        return float(norm)

    def drop_gradient(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    def finite(self) -> bool:
        return all(bool(torch.isfinite(weight).all()) for weight in self._trainable().values())

    @torch.no_grad()
    def divergence(self, texts: Sequence[Sequence[int]]) -> float:
        total = 0.0
        for part in chunks(texts, _COMPARED_TOKENS, len):
            ids = torch.tensor([i for text in part for i in text], device=self.device)
            found = []
            for decoder in (self.base, self.decoder):
                attention = Causal([len(text) for text in part], self.device)
                hidden = self._before_head(decoder(ids, attention))
                found.append(F.log_softmax(F.linear(hidden, self.head).float(), -1))
            base, now = found
            total += float((base.exp() * (base - now)).sum())
        return total / sum(map(len, texts))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = tensors_of(self.optimizer, self._trainable())
        if self.rounding:
            state |= self.rounding.state()
        save_file(state, folder / "training.safetensors")
        self.save_adapter(folder / "adapter")

    def load(self, folder: Path) -> None:
        state = load_file(folder / "training.safetensors")
        restore(self.optimizer, self._trainable(), state)
        self._adapter_changed()
        if self.rounding:
            self.rounding.restore(state, folder / "adapter")
            self.head = self.rounding.head

    def load_adapter(self, folder: Path) -> None:
        load_adapter(folder, self.layers)
        self._new_optimizer()
        self._adapter_changed()
        if self.rounding:
            self.rounding.take(read_codes(folder))
            self.head = self.rounding.head

    def _adapter_changed(self) -> None:
        self._sampler = None
        for layer in self.layers:
            layer.adapter_changed()

    def save_adapter(self, folder: Path) -> None:
        settings = self.settings
        frozen = {
            "backend": "torch",
            "quantization": settings.quantization,
            "dtype": str(self.head.dtype).removeprefix("torch."),
        }
        save_adapter(
            folder, self.layers, settings.lora_rank, settings.lora_alpha, self.model_name, frozen
        )
        if self.rounding:
            self.rounding.save(folder)
