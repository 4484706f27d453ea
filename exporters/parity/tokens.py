"""Does an artifact read chats, and stop, as the model was trained to?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_edge.artifact import Artifact
from srl_edge.devices.runtimes.chat import Chat
from srl_edge.devices.runtimes.contract import Runtime
from srl_edge.models.chat_template import of_tokenizer
from srl_edge.models.tokenizer import load_tokenizer, stop_ids
from srl_edge.report.parity_rows import MisreadChat, Readings

# What tokenizers differ on: bytes outside the vocabulary, joined emoji, spaces, digits.
TEXTS = (
    "How many are left?", "12345 + 67890 = 80235", "3.14159, 1,000,000 and 1e-9", "½ ⅔ x² Ⅳ ①",
    "🙂", "👨‍👩‍👧‍👦 and 👩🏽‍🚀", "🇩🇪🇫🇷 1️⃣ ❤️", "café, cafe\u0301", "naïve Straße ÆØÅ",
    "ﬁne ﬂow", "你好,世界", "東京タワーは333メートル", "안녕하세요", "Привет, мир",
    "γειά σου Κόσμε", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "ខ្មែរ and አማርኛ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛", "\ue000\U0010fffd", "two  spaces   three",
    " leading and trailing ", "tab\tand\ttabs\t\t", "line\nbreaks\n\n\nthree",
    "windows\r\nline ends\r\n", "zero\u200bwidth\u200d and \ufeffBOM",
    "no\u00a0break\u202fspaces", "a" * 60, "=" * 40, "." * 33,
    "ALLCAPS camelCase snake_case kebab-case", "don't can't I'LL we've",
    "https://example.org/a?b=c&d=%20#e", "def f(x):\n    return x ** 2  # square",
    "{\"a\": [1, null]}", "$\\frac{a}{b} \\le \\sqrt{c}$", "<b>bold</b> &amp; <think>", "#### 42",
    "\u201cquotes\u201d \u2018and\u2019 \u2014 dashes\u2026", "€5, £6, ¥7, ₹8",
    "x < y && y > z || !w", "\\n is not a newline", "1/2+3/4=5/4", "00123 007", "𓀀𓂀 𐍈",
    "e\u0301\u0302\u0303", "☃★♞ ← ↑ → ∀∃∈", "|im_end| and <| almost a token |>",
)  # fmt: skip


def chats() -> list[list[dict[str, str]]]:
    """Fifty chats of one and of three turns, the same always."""
    found = []
    for at, text in enumerate(TEXTS):
        chat = [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]
        if at % 3 == 0:
            turn = {"role": "assistant", "content": f"{TEXTS[at - 1].strip() or 'Yes'}."}
            chat += [turn, {"role": "user", "content": f"And {text}?"}]
        found.append(chat)
    return found


def compare_tokens(
    artifact: Artifact, runtime: Runtime, merged: Path, asked: Sequence[list[dict[str, str]]]
) -> Readings:
    """Token ids of rendered chats and the ids that end a reply, against the model folder `merged`.

    `asked` and the fifty of `chats` are compared. The artifact's files render and encode them, in
    transformers and without it: `first_chat` is the first to differ. The runtime's own tokenizer
    encodes the rendered text: `runtime_chats_equal` of it, and `first_runtime_chat`.
    """
    trained, own, chat = load_tokenizer(merged), load_tokenizer(artifact.path), Chat(artifact.path)
    form = chat.asked.form

    def rendered_by(tokenizer: Any, turns: list[dict[str, str]]) -> str:
        template = of_tokenizer(tokenizer)
        return template.render(turns, True, form.date, form.chat_template_kwargs)

    every = [*asked, *chats()]
    from_files: list[MisreadChat] = []
    from_runtime: list[MisreadChat] = []
    for at, turns in enumerate(every):
        rendered = rendered_by(trained, turns)
        expected = list(trained.encode(rendered, add_special_tokens=False))
        told, mine = turns[-1]["content"], at < len(asked)
        readings = (
            list(own.encode(rendered_by(own, turns), add_special_tokens=False)),
            chat.encode(chat.render(turns)),
        )
        wrong = next((ids for ids in readings if ids != expected), None)
        if wrong is not None:
            from_files.append(MisreadChat(told, mine, *_apart(expected, wrong, trained)))
        ids = runtime.encode(rendered)
        if ids not in (None, expected):
            from_runtime.append(MisreadChat(told, mine, *_apart(expected, ids or [], trained)))
    stops, theirs = sorted(stop_ids(merged)), sorted(runtime.stop_ids())
    return Readings(
        chats=len(every),
        chats_equal=len(every) - len(from_files),
        first_chat=next(iter(from_files), None),
        runtime_chats_equal=len(every) - len(from_runtime),
        first_runtime_chat=next(iter(from_runtime), None),
        stop_ids=theirs,
        stop_ids_expected=stops,
        stop_ids_equal=stops == theirs == sorted(stop_ids(artifact.path)),
    )


def _apart(expected: list[int], got: list[int], tokenizer: Any) -> tuple[int, str, str]:
    """The first position at which two lists differ, and both tokens there."""
    pairs = zip([*expected, None], [*got, None], strict=False)
    at = next(i for i, (a, b) in enumerate(pairs) if a != b)
    one, other = (
        tokenizer.decode(ids[at : at + 1]) if at < len(ids) else "" for ids in (expected, got)
    )
    return at, one, other
