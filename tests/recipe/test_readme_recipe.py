"""What people copy first teaches a model to finish a problem."""

import json
import re
from pathlib import Path

from srl_edge import recipe
from srl_edge.data.stage import prepare
from srl_edge.method.rewards import DEFAULT
from srl_edge.trainers.loop.train import training_prompts

ROOT = Path(__file__).parents[2]


def test_the_readmes_recipe_teaches_the_answer_as_a_step(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(output.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "mine.toml").write_text(text)
    rows = [
        {
            "question": f"Tom has {i} pens and buys 2 twice. How many has he?",
            "answer": f"2 * 2 = <<2*2=4>>4 pens.\n{i} + 4 = {i + 4} pens.\n#### {i + 4}",
        }
        for i in range(12)
    ]
    (tmp_path / "trajectories.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    flags = [
        "--data.validation-problems",
        "3",
        "--data.test-problems",
        "3",
        "--output",
        str(tmp_path / "run"),
    ]
    settings = recipe.load(tmp_path / "mine.toml", flags)
    (tmp_path / "run").mkdir()
    prepare(settings, tmp_path / "run")
    form = settings.prompt.form
    assert not form.think  # so short a warm-up teaches no thoughts
    for stage in settings.stages:
        groups = training_prompts(settings, stage, tmp_path / "run")
        for group in groups:
            *before, last = [prompt.expert_action for prompt in group]
            assert last == form.stated(group[0].answer or "") and len(before) == 2
            assert not any(form.states_answer(step) for step in before)
    assert not settings.stages[1].reward and DEFAULT["numbers"] == DEFAULT["characters"] == 0.5


def test_the_papers_recipe_has_the_papers_choices() -> None:
    paper = recipe.load(ROOT / "recipes" / "paper.toml")
    srl = paper.stages[0]
    assert (srl.targets, srl.reward, srl.group_size) == ("paper", {"characters": 1.0}, 8)
    assert srl.title_hint and srl.autojunk and not srl.guards and not paper.data.answer_step
