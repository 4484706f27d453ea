"""What is said in a notebook: plain sentences, and a bar that is one line from start to end."""

import nbformat
from nbclient import NotebookClient

from srl_edge.terminal import notebook

CELL = """
import time
from srl_edge.terminal import progress
progress.say("train: begins")
with progress.bar("train 1/1 srl", 4) as advance:
    for step in range(4):
        time.sleep(0.3)
        advance(f"reward {step}")
progress.say("train: done")
"""


def test_a_bar_is_one_line_that_changes_in_place() -> None:
    cell = nbformat.v4.new_code_cell(CELL)
    NotebookClient(nbformat.v4.new_notebook(cells=[cell])).execute()
    said = [output.get("text") for output in cell.outputs if output.output_type == "stream"]
    assert said == ["train: begins\n", "train: done\n"]
    assert {output.get("name", "stdout") for output in cell.outputs} == {"stdout"}
    (bar,) = [output for output in cell.outputs if output.output_type == "display_data"]
    text = bar["data"]["text/plain"]
    assert text.startswith("train 1/1 srl") and text.endswith("reward 3") and "4/4" in text
    assert "\N{FULL BLOCK}" * 24 in text and "ETA" not in text


def test_a_process_without_a_kernel_is_no_notebook() -> None:
    assert not notebook.here()
