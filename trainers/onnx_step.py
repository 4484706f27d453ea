"""Decoding steps in fp32 on a CPU, by ONNX Runtime, whose products are faster there than torch's.

Importing it fails where there is no ONNX Runtime that can.
"""

from typing import Any

import numpy as np
import onnxruntime
import torch

from srl_edge.trainers.decode_attention import DecodeAttention
from srl_edge.trainers.decoder import Decoder
from srl_edge.trainers.onnx_step_graph import matrices, step_graph

if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 28):
    raise ImportError("ONNX Runtime before 1.28 has not all operators of a step")


class OnnxStep:
    """What a decoder makes of one more token a row, its adapter merged into its weights.

    Weights are packed once, when it is made; later updates of the adapter are not seen.
    """

    def __init__(self, decoder: Decoder, head: torch.Tensor) -> None:
        """decoder: linear layers are `LoraLinear`; head [V, d]; all in fp32 on the CPU."""
        self.decoder, self.head = decoder, head
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        weights = {name: value(x.numpy()) for name, x in matrices(decoder)}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # They are copied while the session is made, so that nothing refers to them afterwards.
        options.add_external_initializers(list(weights), list(weights.values()))
        self.session = onnxruntime.InferenceSession(
            step_graph(decoder, len(head)), options, providers=["CPUExecutionProvider"]
        )
        self.let_go()

    def __call__(self, tokens: torch.Tensor, attention: DecodeAttention) -> torch.Tensor:
        """Logits [R, V] of tokens [R], whose keys and values are written into the caches.

        They are overwritten by the next call.
        """
        if self.bound is not attention.own:  # caches have grown, or rows have left
            self._bind(attention)
        count = len(attention.lengths)
        feed = {"x": self.decoder.embed(tokens), "places": torch.full((count,), attention.step)}
        for kind, sides in self.decoder.rotations(attention.positions).items():
            for name, side in zip(("cos", "sin"), sides, strict=True):
                feed[f"{name}.{kind}"] = side[:, 0].contiguous()
        for window in {layer.window for layer in self.decoder.layers}:
            to_prompt, to_own = attention.masks(window)
            heads = len(to_prompt) // count
            to_own = to_own.expand(count, 1, -1)
            mask = torch.cat([to_prompt[::heads], to_own], -1)
            feed[f"mask.{window}"] = mask[:, :, None, None]
        for name, value in feed.items():
            self.binding.bind_cpu_input(name, value.numpy())
        self.session.run_with_iobinding(self.binding)
        return self.logits

    def let_go(self) -> None:
        """Let go of the caches."""
        self.bound: Any = None
        self.binding: Any = None
        self.held: list[Any] = []
        self.logits = torch.empty(0)

    def _bind(self, attention: DecodeAttention) -> None:
        """Let the caches be read where they are, and a row's own be written there too."""
        self.bound, self.binding, self.held = attention.own, self.session.io_binding(), []
        count, kv_heads, group, places, dim = attention.own[0][0].shape
        width, rows = attention.prompts[0][0].shape[2], count * group
        shared = self.decoder.heads // kv_heads
        for name, shape in (
            ("q_grid", (count, group, kv_heads, shared, dim)),
            ("kv_grid", (count, group, kv_heads, 1, dim)),
            ("heads", (count, kv_heads, group, shared, dim)),
            ("by_row", (count, kv_heads, group, shared, width)),
            ("by_prompt", (count, kv_heads, group * shared, width)),
            ("widths", (width, places)),
        ):
            self._input(name, np.array(shape))
        self._input("head", self.head.numpy())
        self._input("rows", np.arange(rows)[:, None])
        for index, (prompt, own) in enumerate(zip(attention.prompts, attention.own, strict=True)):
            for side, of_prompt, of_rows in zip("kv", prompt, own, strict=True):
                self._input(f"prompt_{side}.{index}", of_prompt.numpy())
                both = self._input(f"own_{side}.{index}", of_rows.numpy())
                self.binding.bind_ortvalue_output(f"new_{side}.{index}", both)
        self.logits = torch.empty(rows, len(self.head))
        self.binding.bind_ortvalue_output("logits", self._held(self.logits.numpy()))

    def _input(self, name: str, value: "np.ndarray[Any, Any]") -> Any:
        held = self._held(value)
        self.binding.bind_ortvalue_input(name, held)
        return held

    def _held(self, value: "np.ndarray[Any, Any]") -> Any:
        """A binding refers to the memory of what it is given, and does not own it."""
        self.held.append(onnxruntime.OrtValue.ortvalue_from_numpy(value))
        return self.held[-1]
