"""A row of each known shape, with its source's own columns and types; the texts are made up."""

from typing import Any

from srl_edge.method.types import Trajectory

_WORKED = "Two bags hold 2 * 3 = 6 pears.\nWith 4 more that is 6 + 4 = 10."
_STEPS = ("Two bags hold 2 * 3 = 6 pears.", "With 4 more that is 6 + 4 = 10.")
_ASKED = "Eva has two bags of 3 pears and 4 more. How many are that?"
_NUMBERED = "1. **Bags**: 2 * 3 = 6 pears.\n2. **Total**: 6 + 4 = \\boxed{10}."
_PARTS = ("1. **Bags**: 2 * 3 = 6 pears.", "2. **Total**: 6 + 4 = \\boxed{10}.")


def _step(text: str, chosen: int | None = 0, by_hand: str | None = None) -> dict[str, Any]:
    return {
        "completions": [
            {"text": text, "rating": 1, "flagged": None},
            {"text": "That is wrong.", "rating": -1, "flagged": False},
        ],
        "human_completion": by_hand and {"text": by_hand, "rating": 1, "source": "human"},
        "chosen_completion": chosen,
    }


# By the name of the shape: a row, and what is read of it.
ROWS: dict[str, tuple[dict[str, Any], Trajectory]] = {
    "GSM8K": (
        {
            "question": _ASKED,
            "answer": "Two bags hold 2 * 3 = <<2*3=6>>6 pears.\n"
            "With 4 more that is 6 + 4 = <<6+4=10>>10.\n#### 10",
        },
        Trajectory("1", _ASKED, _STEPS, "10"),
    ),
    "s1K-1.1": (
        {
            "solution": "10",
            "question": _ASKED,
            "cot_type": "math",
            "source_type": "made up",
            "metadata": "{}",
            "gemini_thinking_trajectory": "Pears.",
            "gemini_attempt": "It is 11.",
            "deepseek_thinking_trajectory": "Bags first.",
            "deepseek_attempt": _NUMBERED,
            "gemini_grade": "No",
            "gemini_grade_reason": "",
            "deepseek_grade": "Yes",
            "deepseek_grade_reason": "",
        },
        Trajectory("1", _ASKED, _PARTS, "10", ("Bags first.", "")),
    ),
    "s1K": (
        {
            "solution": "It is $\\boxed{10}$.",
            "question": _ASKED,
            "cot_type": "math",
            "source_type": "made up",
            "metadata": "{}",
            "cot": None,
            "thinking_trajectories": ["Bags first."],
            "attempt": _NUMBERED,
        },
        Trajectory("1", _ASKED, _PARTS, "10", ("Bags first.", "")),
    ),
    "OpenMathReasoning": (
        {
            "expected_answer": "10",
            "problem_type": "has_answer_extracted",
            "problem_source": "made_up",
            "generation_model": "nobody",
            "pass_rate_72b_tir": "n/a",
            "problem": _ASKED,
            "generated_solution": f"<think>\nBags first.\n</think>{_WORKED}",
            "inference_mode": "cot",
            "used_in_kaggle": False,
        },
        Trajectory("1", _ASKED, _STEPS, "10", ("Bags first.", "")),
    ),
    "NuminaMath-CoT": (
        {
            "source": "made_up",
            "problem": _ASKED,
            "solution": _NUMBERED,
            "messages": [
                {"content": _ASKED, "role": "user"},
                {"content": _NUMBERED, "role": "assistant"},
            ],
        },
        Trajectory("1", _ASKED, _PARTS, "10"),
    ),
    "OpenR1": (
        {
            "problem": _ASKED,
            "solution": "It is $\\boxed{10}$.",
            "answer": "10",
            "problem_type": "Algebra",
            "question_type": "math-word-problem",
            "source": "made_up",
            "uuid": "a-1",
            "is_reasoning_complete": [True, True],
            "generations": [
                "<think>\nHm.\n</think>\n\n1. No.\n2. So \\boxed{11}.",
                f"<think>\nPears.\n</think>\n\n{_NUMBERED}",
            ],
            "correctness_math_verify": [False, True],
            "correctness_llama": None,
            "finish_reasons": None,
            "correctness_count": 1,
            "messages": [
                {"content": _ASKED, "role": "user"},
                {"content": _NUMBERED, "role": "assistant"},
            ],
        },
        Trajectory("a-1", _ASKED, _PARTS, "10", ("Pears.", "")),
    ),
    "MATH": (
        {
            "problem": _ASKED,
            "level": "Level 1",
            "type": "Prealgebra",
            "solution": "Two bags hold $2 \\cdot 3 = 6$ pears.\n"
            "In all that is $\\boxed{\\frac{20}{2}}$.",
        },
        Trajectory(
            "1",
            _ASKED,
            ("Two bags hold $2 \\cdot 3 = 6$ pears.", "In all that is $\\boxed{\\frac{20}{2}}$."),
            "\\frac{20}{2}",
        ),
    ),
    "PRM800K": (
        {
            "labeler": "nobody",
            "timestamp": "2023-01-01T00:00:00.000000",
            "generation": None,
            "is_quality_control_question": False,
            "is_initial_screening_question": False,
            "question": {"problem": _ASKED, "ground_truth_answer": "10"},
            "label": {
                "steps": [
                    _step("Pears it is."),
                    _step("No.", None, "2 * 3 = 6."),
                    _step("6 + 4 = 10.\n\n# Answer\n\n10"),
                ],
                "total_time": 9,
                "finish_reason": "solution",
            },
        },
        Trajectory("1", _ASKED, ("Pears it is.", "2 * 3 = 6.", "6 + 4 = 10."), "10"),
    ),
    "OpenThoughts": (
        {
            "system": "Think first.",
            "conversations": [
                {"from": "user", "value": _ASKED},
                {
                    "from": "assistant",
                    "value": "<|begin_of_thought|>\n\nBags first.\n\n<|end_of_thought|>\n\n"
                    f"<|begin_of_solution|>\n\n{_NUMBERED}\n\n<|end_of_solution|>",
                },
            ],
        },
        Trajectory("1", _ASKED, _PARTS, "10", ("Bags first.", "")),
    ),
    "OpenThoughts, metadata": (
        {
            "problem": _ASKED,
            "deepseek_reasoning": "Bags first.",
            "deepseek_solution": _NUMBERED,
            "ground_truth_solution": "So $\\boxed{10}$.",
            "domain": "math",
            "source": "made_up",
            "test_cases": None,
            "starter_code": None,
        },
        Trajectory("1", _ASKED, _PARTS, "10", ("Bags first.", "")),
    ),
    "Alpaca": (
        {
            "instruction": "How many are that?",
            "input": "Two bags of 3 pears and 4 more.",
            "output": f"{_WORKED}\nThe answer is 10.",
            "text": "unused",
        },
        Trajectory(
            "1",
            "How many are that?\n\nTwo bags of 3 pears and 4 more.",
            (*_STEPS, "The answer is 10."),
            "10",
        ),
    ),
    "ShareGPT": (
        {
            "id": "a0",
            "conversations": [
                {"from": "system", "value": "Be kind."},
                {"from": "human", "value": _ASKED},
                {"from": "gpt", "value": _WORKED},
            ],
        },
        Trajectory("a0", _ASKED, _STEPS, None),
    ),
    "messages": (
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": _ASKED},
                {"role": "assistant", "content": _WORKED, "reasoning_content": "Bags first."},
            ],
            "answer": 10,
        },
        Trajectory("1", _ASKED, _STEPS, "10", ("Bags first.", "")),
    ),
    "TRL prompt-completion": (
        {"prompt": _ASKED, "completion": f" {_WORKED}"},
        Trajectory("1", _ASKED, _STEPS, None),
    ),
    "TRL prompt-completion, conversational": (
        {
            "prompt": [{"role": "user", "content": _ASKED}],
            "completion": [{"role": "assistant", "content": f"{_WORKED}\n#### 10"}],
        },
        Trajectory("1", _ASKED, _STEPS, "10"),
    ),
    "TRL stepwise": (
        {"prompt": _ASKED, "completions": list(_STEPS), "labels": [True, True]},
        Trajectory("1", _ASKED, _STEPS, None),
    ),
    "problem, steps, answer": (
        {"problem": _ASKED, "steps": list(_STEPS), "answer": "10"},
        Trajectory("1", _ASKED, _STEPS, "10"),
    ),
}
