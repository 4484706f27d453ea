"""Decoding on ONNX Runtime, with the LoRA weights as inputs of the graph."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from srl_edge.trainers.policy.packing import PrefixCache
from srl_edge.trainers.policy.sampling import Drawn, Ids
from srl_edge.trainers.torch_backend.decoding.draw import Draws, one_thread
from srl_edge.trainers.torch_backend.lora import LoraLinear

Cache = np.ndarray[Any, np.dtype[np.float32]]


class OnnxDecoding:
    """Implements `Decoding` with the folder that `exporters.onnx_adapter.export_base` wrote.

    Samples from the numerics of the exported model: its quantization is the artifact's. Caches are
    fp32 [R, Hkv, T + max_new, D], one a row; the graph writes a token's keys and values in place.
    """

    def __init__(self, folder: Path, layers: Iterable[LoraLinear], threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # else a line for each LoRA weight: that they vary is meant
        self.session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        shapes = {i.name: i.shape for i in self.session.get_inputs()}
        self.cached = [name for name in shapes if name.startswith("past_key_values.")]
        self.written = [n.replace("past_key_values", "present") for n in self.cached]
        config = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))["model"][
            "decoder"
        ]
        self.heads, self.head_dim = config["num_key_value_heads"], config["head_size"]
        self.load_adapter(layers)

    def load_adapter(self, layers: Iterable[LoraLinear]) -> None:
        """Take over LoRA weights: A [in, r], and B [r, out] with the scaling in it."""
        self.weights = {}
        for layer in layers:
            b = (layer.lora_B * layer.scaling).detach()
            for name, value in layer.members(layer.lora_A.detach(), b).items():
                path, matrix = name.replace("self_attn", "attn").rsplit(".lora_", 1)
                graph_name = f"model.{path}.lora_{matrix[0]}.MatMul.weight"
                # A copy: training goes on in place.
                self.weights[graph_name] = np.array(value.T.cpu().numpy(), order="C")

    @torch.inference_mode()
    def start(
        self,
        prompts: Sequence[tuple[int, ...]],
        group_size: int,
        max_new: int,
        temperature: float,
        seed: int,
        prefix_cache: PrefixCache | None = None,
    ) -> Drawn:
        del prefix_cache  # prompts are read from their beginnings, one after the other
        logits = self.prefill(prompts, group_size, max_new).repeat_interleave(group_size, 0)
        self.draws = Draws(logits, temperature, seed)
        return self.draws(logits)

    def prefill(
        self, prompts: Sequence[tuple[int, ...]], group_size: int, max_new: int
    ) -> torch.Tensor:
        """Fill the caches of rows [P * G]; logits [P, V] after each prompt."""
        lengths = [len(p) for p in prompts]
        shape = (len(prompts) * group_size, self.heads, max(lengths) + max_new, self.head_dim)
        self.caches: list[Cache] = [np.zeros(shape, np.float32) for _ in self.cached]
        self.lengths, self.group = np.repeat(lengths, group_size), group_size
        empty = np.zeros((1, self.heads, 0, self.head_dim), np.float32)
        logits = []
        for index, prompt in enumerate(prompts):
            feed = {n: empty for n in self.cached} | self.weights
            feed["input_ids"] = np.array([prompt])
            feed["attention_mask"] = np.ones((1, len(prompt)), np.int64)
            out, *caches = self.session.run(["logits", *self.written], feed)
            logits.append(torch.from_numpy(out[0, -1]))
            rows = slice(index * group_size, (index + 1) * group_size)
            for cache, read in zip(self.caches, caches, strict=True):
                cache[rows, :, : len(prompt)] = read
        self._bind()
        return torch.stack(logits)

    @torch.inference_mode()
    @one_thread()
    def advance(self, ids: Ids, step: int) -> Drawn:
        # The graph only counts the ones of a row: so many tokens it has, this one among them.
        seen = self.lengths[:, None] + step + 1
        mask = (np.arange(seen.max()) < seen).astype(np.int64)
        self.binding.bind_cpu_input("attention_mask", mask)
        self.binding.bind_cpu_input("input_ids", ids[:, None])
        self.binding.bind_output("logits")
        self.session.run_with_iobinding(self.binding)
        logits = self.binding.get_outputs()[-1].numpy()
        return self.draws(torch.from_numpy(logits[:, -1]))

    def keep(self, prompts: Ids, rows: Ids) -> None:
        slots = (prompts[:, None] * self.group + rows).ravel()
        self.lengths, self.group = self.lengths[slots], rows.shape[1]
        self.caches = [cache[slots] for cache in self.caches]
        self._bind()

    def finish(self) -> None:
        del self.caches, self.binding, self.draws

    def _bind(self) -> None:
        """Let each cache be read and written at the same place, so that no step copies it."""
        self.binding = self.session.io_binding()
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        for name, weight in self.weights.items():
            self.binding.bind_ortvalue_input(name, value(weight))
        for name, to, cache in zip(self.cached, self.written, self.caches, strict=True):
            both = value(cache)
            self.binding.bind_ortvalue_input(name, both)
            self.binding.bind_ortvalue_output(to, both)
