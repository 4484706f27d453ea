"""What a `.pte` program says of itself, asked in a process of its own, which a bad file may end.

Called as a module with FILE; prints one JSON value: `methods`, what those without inputs return as
`values`, and the sizes and type codes of `inputs` of `forward`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print what they like
    try:
        import executorch.extension.llm.custom_ops.custom_ops
        import executorch.kernels.quantized  # noqa: F401
        from executorch.extension.pybindings import portable_lib
    except ImportError:
        sys.exit("running .pte programs needs executorch: pip install 'srl-edge[executorch]'")
    program = portable_lib._load_for_executorch(str(Path(sys.argv[1])))
    methods: list[str] = program.method_names()
    values: dict[str, Any] = {}
    for name in methods:
        if program.method_meta(name).num_inputs() == 0:
            values[name] = [_plain(value) for value in program.run_method(name, ())]
    inputs = []
    if "forward" in methods:
        meta = program.method_meta("forward")
        for at in range(meta.num_inputs()):
            each = meta.input_tensor_meta(at)
            inputs.append([list(each.sizes()), int(each.dtype())])
    print(json.dumps({"methods": methods, "values": values, "inputs": inputs}), file=answers)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)


if __name__ == "__main__":
    main()
