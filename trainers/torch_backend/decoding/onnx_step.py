"""Decoding steps in fp32 on a CPU, by ONNX Runtime, whose products are faster there than torch's.

Importing it fails where there is no ONNX Runtime that can.
"""

from typing import Any

import onnxruntime
import torch

from srl_edge.trainers.torch_backend.attention.decode import DecodeAttention
from srl_edge.trainers.torch_backend.decoder import Decoder
from srl_edge.trainers.torch_backend.decoding.onnx_step_graph import matrices, step_graph
from srl_edge.trainers.torch_backend.sizes import PACKED_HEAD

if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 28):
    raise ImportError("ONNX Runtime before 1.28 has not all operators of a step")


class OnnxStep:
    """What a decoder makes of one more token a row, its adapter merged into its weights.

    Weights are merged once, when it is made; later updates of the adapter are not seen.
    """

    def __init__(self, decoder: Decoder, head: torch.Tensor, packed: int = PACKED_HEAD) -> None:
        """decoder: linear layers are `LoraLinear`; head [V, d]; all in fp32 on the CPU.

        packed: bytes of the largest head of which a packed copy is made.
        """
        self.decoder, self.head = decoder, head
        self.weights = {name: _value(x) for name, x in matrices(decoder)}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        packs_head = head.nbytes <= packed
        if packs_head:
            options.add_external_initializers(["head"], [_value(head)])
        else:
            self.weights["head"] = _value(head)
        self.session = onnxruntime.InferenceSession(
            step_graph(decoder, len(head), packs_head),
            options,
            providers=["CPUExecutionProvider"],
            # It would turn products round again.
            disabled_optimizers=["GemmTransposeFusion"],
        )
        self.let_go()

    def __call__(
        self, tokens: torch.Tensor, attention: DecodeAttention, divisor: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [R, V] over `divisor`, and their softmax; the next call overwrites both.

        Keys and values of the tokens [R] are written into the caches.
        """
        if self.bound is not attention.own:  # caches have grown, or rows have left
            self._bind(attention)
        count = len(attention.lengths)
        feed = {
            "x": self.decoder.embed(tokens),
            "places": torch.full((count,), attention.step),
            "divisor": torch.tensor([divisor]),
        }
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
        return self.logits, self.softmax

    def let_go(self) -> None:
        """Let go of the caches."""
        self.bound: Any = None
        self.binding: Any = None
        self.held: dict[str, Any] = {}
        self.logits = self.softmax = torch.empty(0)

    def _bind(self, attention: DecodeAttention) -> None:
        """Let the caches be read where they are, and a row's own be written there too."""
        self.bound, self.binding = attention.own, self.session.io_binding()
        count, kv_heads, group, places, dim = attention.own[0][0].shape
        width, rows = attention.prompts[0][0].shape[2], count * group
        shared = self.decoder.heads // kv_heads
        shapes = {
            "q_grid": (count, group, kv_heads, shared, dim),
            "kv_grid": (count, group, kv_heads, 1, dim),
            "heads": (count, kv_heads, group, shared, dim),
            "by_row": (count, kv_heads, group, shared, width),
            "by_prompt": (count, kv_heads, group * shared, width),
            "widths": (width, places),
        }
        # A binding refers to the memory of what it is given, and does not own it.
        self.held = {name: _value(torch.tensor(shape)) for name, shape in shapes.items()}
        self.held["rows"] = _value(torch.arange(rows)[:, None])
        for index, (prompt, own) in enumerate(zip(attention.prompts, attention.own, strict=True)):
            for side, of_prompt, of_rows in zip("kv", prompt, own, strict=True):
                self.held[f"prompt_{side}.{index}"] = _value(of_prompt)
                self.held[f"own_{side}.{index}"] = cache = _value(of_rows)
                self.binding.bind_ortvalue_output(f"new_{side}.{index}", cache)
        for name, value in (self.weights | self.held).items():
            self.binding.bind_ortvalue_input(name, value)
        self.logits, self.softmax = torch.empty(2, rows, len(self.head))
        for name in ("logits", "softmax"):
            self.held[name] = _value(getattr(self, name))
            self.binding.bind_ortvalue_output(name, self.held[name])


def _value(x: torch.Tensor) -> Any:
    """The tensor as ONNX Runtime has it: the same memory, kept as long as the value is."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(x.numpy())
