"""What a GGUF file says of itself, asked in a process of its own, which a bad file may end.

Called as a module with FILE; prints one JSON value: `architecture`, `quantization` (None where it
is not told), `context` and `stops`. Memory and time are bounded: the sizes in a file are what its
writer liked.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any

SECONDS = 60
MEMORY = 4 << 30  # bytes of addresses; a file is mapped, and does not count where it is not read


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print what they like
    size = os.stat(sys.argv[1]).st_size
    with contextlib.suppress(ImportError, ValueError, OSError):  # where memory can be bounded
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY + size, MEMORY + size))
    if hasattr(signal, "alarm"):
        signal.alarm(SECONDS)
    try:
        from gguf import GGUFReader, LlamaFileType
    except ImportError:
        sys.exit("reading GGUF needs gguf: pip install gguf")
    fields: Any = GGUFReader(sys.argv[1]).fields

    def field(name: str) -> Any:
        return fields[name].contents() if name in fields else None

    known = {each.value: each.name.split("_", 1)[1] for each in LlamaFileType if "_" in each.name}
    architecture, kind = field("general.architecture"), field("general.file_type")
    if not isinstance(architecture, str | None) or not isinstance(kind, int | None):
        sys.exit("general.architecture and general.file_type are of other types")
    ends = [field(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    said = {
        "architecture": architecture,
        "quantization": known.get(kind) if kind is not None else None,
        "context": field(f"{architecture}.context_length"),
        "stops": [end for end in ends if isinstance(end, int)],
    }
    print(json.dumps(said), file=answers)


if __name__ == "__main__":
    main()
