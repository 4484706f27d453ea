# ruff: noqa: RUF001 - other scripts' punctuation is what is read
"""How other languages than English say that an answer comes next. A new language is added here."""

import re

_HEADING = r"[ \t]*(?=\n)"  # the answer is under it
# Patterns, in which case does not count, of the words before an answer and of what joins them.
_WORDS = (
    # Chinese, Japanese, Korean
    r"(?:(?:所以|因此|故|综上|于是)[,，]?\s*)?(?:最终|最后|正确)?答案\**"
    rf"(?:\s*(?:应?[是为為])?[:：]|\s*应?[是为為]|{_HEADING})",
    r"答[:：]",
    r"(?:(?:よって|したがって|ゆえに)[、,]?\s*)?(?:最終的?な?)?(?:答え?|正解|解答)\**"
    rf"(?:\s*は[、,]?|\s*[:：]|{_HEADING})",
    rf"(?:(?:따라서|그러므로),?\s+)?(?:최종\s*)?(?:정답|답)\**(?:은|는|\s*[:：]|{_HEADING})",
    # German
    r"(?:also|daher|somit)\s+(?:ist|lautet)\s+die\s+antwort\b",
    r"(?:(?:also|daher|somit):?,?\s+)?(?:die\s+)?(?:endg[üu]ltige\s+|richtige\s+)?antwort\**"
    rf"(?:\s+(?:ist|lautet)\b\s*:?|\s*:|{_HEADING})",
    # French, Spanish, Italian, Portuguese
    r"(?:(?:donc|ainsi|por (?:lo )?tanto|as[íi]|portanto|quindi|dunque),?\s+)?(?:la\s+|a\s+)?"
    r"(?:r[ée]ponse|respuesta|risposta|resposta)(?:\s+(?:finale?|corr?ett?a|correct[ae]))?\**"
    rf"(?:\s+(?:es|est|è|é)\b\s*:?|\s*:|{_HEADING})",
    # Russian, and others by the bare word
    r"(?:(?:итак|таким образом|следовательно),?\s+)?(?:окончательный\s+)?ответ\**"
    rf"(?:\s*[:：—–]|{_HEADING})",
    r"(?:antwoord|odpowiedź|odpověď|svar|cevap|đáp án|đáp số|jawaban|उत्तर|الإجابة|الجواب|תשובה)\**"
    rf"(?:\s*[:：]|{_HEADING})",
)
ELSEWHERE = f"(?:{'|'.join(_WORDS)})"
# What ends such a sentence behind its answer.
COPULA = re.compile(r"(?:(?:です|である|だ|となる|입니다|이다)[。．]?|[。．])(?=\**$)")
# What says that more than an answer follows.
REASON = (
    r"(?:\b(?:weil|denn|parce que|car|porque|perché|потому|поскольку)\b|因为|なぜなら|왜냐하면)"
)
