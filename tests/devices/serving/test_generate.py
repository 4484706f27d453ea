"""`srl-edge data generate` asks our own server, as it asks any other."""

import json
from pathlib import Path

from tests.helpers.command_line import called


def test_our_own_server_is_an_endpoint_of_data_generate(
    url: str, word_problems: list[dict[str, str]], tmp_path: Path
) -> None:
    source, out = tmp_path / "problems.jsonl", tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in word_problems[:6]))
    facts = called(
        "data generate",
        str(source),
        "--url",
        f"{url}/v1",
        "--model",
        "onnx-fp32",
        "--out",
        out,
        "--max-tokens",
        "60",
        "--temperature",
        "0",
        "--workers",
        "3",
    ).facts
    # The tiny model was never taught this prompt; each problem has a reply, which is judged.
    assert facts["kept"] + sum(facts["failed"].values()) == 6
    assert facts["tokens_read"] > 500 and facts["tokens_written"] >= 6
    assert not [why for why in facts["failed"] if "status" in why or "no " in why[:4]]
