"""ExecuTorch's llama_main as a device double has it: its runner, by the Python bindings.

What is printed is the runner's own. The bindings have no --ignore_eos: a reply ends where it ends.
`fault`, a file beside this program, says what goes wrong.
"""

import argparse
import ctypes
import importlib.util
import os
import sys
import time
from pathlib import Path

told = Path(__file__).with_name("fault")
fault = told.read_text() if told.is_file() else ""
match fault:
    case "crash":
        os.abort()
    case "hang":
        time.sleep(600)
    case "full":
        sys.exit("Failed to create llama runner")
    case "cut":
        print('So 42.\nPyTorchObserver {"prompt_tok', end="")
        sys.exit()

parser = argparse.ArgumentParser()
for name in ("model_path", "tokenizer_path", "data_paths", "prompt"):
    parser.add_argument(f"--{name}")
for name in ("max_new_tokens", "cpu_threads"):
    parser.add_argument(f"--{name}", type=int)
parser.add_argument("--temperature", type=float)
parser.add_argument("--ignore_eos", action="store_true")
asked = parser.parse_args()


def package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found and found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


# Importing torch would take seconds; its libraries alone do.
for library in ("c10", "torch_cpu", "torch", "torch_python"):
    ctypes.CDLL(str(package("torch") / f"lib/lib{library}.so"), os.RTLD_GLOBAL | os.RTLD_LAZY)
executorch = package("executorch")
(file,) = (executorch / "extension/llm/runner").glob("_llm_runner*.so")
spec = importlib.util.spec_from_file_location("_llm_runner", file)
assert spec and spec.loader
llm = importlib.util.module_from_spec(spec)
spec.loader.exec_module(llm)
for library in ("extension/llm/custom_ops/libcustom_ops", "kernels/quantized/libquantized_ops"):
    ctypes.CDLL(str(executorch / f"{library}_aot_lib.so"))

runner = llm.TextLLMRunner(asked.model_path, asked.tokenizer_path, asked.data_paths)
settings = llm.GenerationConfig(
    max_new_tokens=asked.max_new_tokens, temperature=asked.temperature, echo=True
)
# A tiny model would be done before anything could be measured.
runner.generate(asked.prompt, settings, lambda _: time.sleep(0.02 * (fault == "slow")))
