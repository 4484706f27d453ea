"""Tiny random models of every family, with a tokenizer trained on a few sentences."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    Gemma4TextConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3_5TextConfig,
    Qwen3Config,
)

from srl_edge.method.prompt_form import DEFAULT

FAMILIES = ("llama", "qwen2", "qwen3", "gemma3")


MLX_FAMILIES = ("qwen3_5", "gemma4")  # those that MLX alone trains


CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


TEXT = (
    f"{DEFAULT.system}\nProblem: Ann has 12 cats and 30 dogs.\n\nSolution so far:\n<think>"
    "What comes next? I look at what is left to do. One step at a time. Let me see what is known. "
    "The numbers I need: 12, 30.</think>\n12 + 30 = 42 animals.\nSo 42.\n#### 42 é 🙂"
)


def make_tokenizer(folder: Path) -> Any:
    """A byte-level tokenizer with ChatML turns, written to `folder`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [TEXT] * 4,
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return fast


def make_model(family: str, folder: Path, seed: int = 0, **changes: int) -> Path:
    """A random model folder of a family, three or four layers, with its tokenizer."""
    shape: dict[str, Any] = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 2048,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    } | changes
    gemma = {
        "sliding_window": 32,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "query_pre_attn_scalar": 32,
    }
    states = {
        "num_hidden_layers": 4,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
    }
    sharing = {
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "sliding_window": 32,
        "global_head_dim": 48,
        "num_kv_shared_layers": 2,
        "use_double_wide_mlp": True,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": 512,
        "final_logit_softcapping": 3.0,
    }
    config = {
        "llama": lambda: LlamaConfig(**shape),
        "qwen2": lambda: Qwen2Config(**{k: v for k, v in shape.items() if k != "head_dim"}),
        "qwen3": lambda: Qwen3Config(**shape),
        "gemma3": lambda: Gemma3TextConfig(**shape, **gemma),
        "qwen3_5": lambda: Qwen3_5TextConfig(**shape | states),
        "gemma4": lambda: Gemma4TextConfig(**shape | sharing),
    }[family]()
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        # Wider than the usual start, so that attention and next tokens are far from uniform.
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.mul_(4.0 if "embed" not in name else 2.0)
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)
    model.generation_config.eos_token_id = [2]
    model.save_pretrained(folder)
    make_tokenizer(folder)
    return folder
