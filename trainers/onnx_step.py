"""Decoding steps in fp32 on a CPU, by ONNX Runtime, whose products are faster there than torch's.

Importing it fails where there is no ONNX Runtime that can.
"""

from typing import Any

import numpy as np
import onnxruntime
import torch

from srl_edge.trainers.decode_attention import DecodeAttention
from srl_edge.trainers.decoder import Decoder
from srl_edge.trainers.memory import PACKED_AT_A_TIME
from srl_edge.trainers.onnx_step_graph import matrices, step_graph

if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 28):
    raise ImportError("ONNX Runtime before 1.28 has not all operators of a step")


class OnnxStep:
    """What a decoder makes of one more token a row, its adapter merged into its weights.

    Weights are packed once, when it is made; later updates of the adapter are not seen. As many
    layers as have `packed_at_a_time` bytes are a session, so that little is there twice meanwhile.
    """

    def __init__(
        self, decoder: Decoder, head: torch.Tensor, packed_at_a_time: int = PACKED_AT_A_TIME
    ) -> None:
        """decoder: linear layers are `LoraLinear`; head [V, d]; all in fp32 on the CPU."""
        self.decoder, self.head = decoder, head
        self.packed_head = 4 * head.numel() <= packed_at_a_time
        first = decoder.layers[0]
        layers = (first.qkv, first.o, first.gate_up, first.down)
        bytes_of_one = sum(4 * x.lora_A.shape[1] * sum(x.sizes) for x in layers)
        count, at_a_time = len(decoder.layers), max(1, packed_at_a_time // bytes_of_one)
        self.parts = [
            range(start, min(start + at_a_time, count)) for start in range(0, count, at_a_time)
        ]
        self.sessions = [self._session(part) for part in self.parts]
        self.let_go()

    def _session(self, part: range) -> Any:
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        weights = {name: value(x.numpy()) for name, x in matrices(self.decoder, part)}
        if self.packed_head and part is self.parts[-1]:
            weights["head"] = value(self.head.numpy())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        if len(self.parts) > 1:  # the threads of one would spin while another's work
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # They are copied while the session is made, so that nothing refers to them afterwards.
        options.add_external_initializers(list(weights), list(weights.values()))
        graph = step_graph(self.decoder, part, len(self.head), self.packed_head)
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, tokens: torch.Tensor, attention: DecodeAttention) -> torch.Tensor:
        """Logits [R, V] of tokens [R], whose keys and values are written into the caches.

        They are overwritten by the next call.
        """
        if self.bound is not attention.own:  # caches have grown, or rows have left
            self._bind(attention)
        count = len(attention.lengths)
        feed = {"x.0": self.decoder.embed(tokens), "places": torch.full((count,), attention.step)}
        for kind, sides in self.decoder.rotations(attention.positions).items():
            for name, side in zip(("cos", "sin"), sides, strict=True):
                feed[f"{name}.{kind}"] = side[:, 0].contiguous()
        for window in {layer.window for layer in self.decoder.layers}:
            to_prompt, to_own = attention.masks(window)
            heads = len(to_prompt) // count
            to_own = to_own.expand(count, 1, -1)
            mask = torch.cat([to_prompt[::heads], to_own], -1)
            feed[f"mask.{window}"] = mask[:, :, None, None]
        for session, binding in self.bindings:
            for given in session.get_inputs():
                if given.name in feed:
                    binding.bind_cpu_input(given.name, feed[given.name].numpy())
            session.run_with_iobinding(binding)
        return self.logits

    def let_go(self) -> None:
        """Let go of the caches."""
        self.bound: Any = None
        self.bindings: list[tuple[Any, Any]] = []
        self.held: dict[str, Any] = {}
        self.logits = torch.empty(0)

    def _bind(self, attention: DecodeAttention) -> None:
        """Let the caches be read where they are, and a row's own be written there too."""
        self.let_go()
        self.bound = attention.own
        count, kv_heads, group, places, dim = attention.own[0][0].shape
        width, rows = attention.prompts[0][0].shape[2], count * group
        shared = self.decoder.heads // kv_heads
        self.logits = torch.empty(rows, len(self.head))
        arrays = {
            "q_grid": np.array((count, group, kv_heads, shared, dim)),
            "kv_grid": np.array((count, group, kv_heads, 1, dim)),
            "heads": np.array((count, kv_heads, group, shared, dim)),
            "by_row": np.array((count, kv_heads, group, shared, width)),
            "by_prompt": np.array((count, kv_heads, group * shared, width)),
            "widths": np.array((width, places)),
            "rows": np.arange(rows)[:, None],
            "head": self.head.numpy(),
            "logits": self.logits.numpy(),
        }
        for index, (prompt, own) in enumerate(zip(attention.prompts, attention.own, strict=True)):
            for side, of_prompt, of_rows in zip("kv", prompt, own, strict=True):
                arrays[f"prompt_{side}.{index}"] = of_prompt.numpy()
                arrays[f"own_{side}.{index}"] = of_rows.numpy()
        for part in self.parts[1:]:  # from one session to the next
            for name in ("x", "normed"):
                arrays[f"{name}.{part.start}"] = np.empty((rows, self.head.shape[1]), np.float32)
        # A binding refers to the memory of what it is given, and does not own it.
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        self.held = {name: value(array) for name, array in arrays.items()}
        for session in self.sessions:
            binding = session.io_binding()
            for given in session.get_inputs():
                if given.name in self.held:
                    binding.bind_ortvalue_input(given.name, self.held[given.name])
            for made in session.get_outputs():
                written = made.name.replace("new_", "own_")
                binding.bind_ortvalue_output(made.name, self.held[written])
            self.bindings.append((session, binding))
