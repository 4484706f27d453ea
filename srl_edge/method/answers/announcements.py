# ruff: noqa: RUF001 - other scripts' punctuation is what is read here
"""How a text says that its answer comes next: the one list of such words, in every language.

What is announced is read by `answers`, and makes way for the marked answer in `data`. A new
language is added here. Case does not count in these patterns, but where they say so.
"""

import re

LETTER = r"(?-i:[A-J])"
_LETTER_NEXT = rf"(?=\s*[（(]?{LETTER}(?![A-Za-z]))"
# What may follow a noun that no verb and no colon joins to it.
_VALUE_NEXT = rf"(?:{_LETTER_NEXT}|(?=\s+[-\d$\\]))"
_COLON = r"\s*[:：]"

_ENGLISH = (
    r"(?:answer(?:\s+(?:choice|option))?|(?:(?<=the )|(?<=correct ))answers"
    r"|(?:correct|right|best)\s+(?:(?:option|choice)s?|one|letter|statement)"
    r"|(?:(?<=my )|(?<=our ))(?:choice|pick)|final\s+(?:result|solution))"
    # The answer to a part is none to the whole.
    r"(?:\*\*|\s+to\s+(?!(?:the\s+)?(?:first|second|third|previous|next|part)\b|\()[^.\n]{1,80}?"
    r"|\s+here)?"
    r"(?:\s*(?:is|was|are|will be|would be|equals|(?:should|must|has to|ought to) be)\b"
    r"(?:\s*:|\s+(?:therefore|thus|then|simply|clearly|indeed))?"
    r"|[\"']?\s*(?:[:=]|→|⇒|[-=]>))"
)
# Words for the answer, and what joins them to it.
_ELSEWHERE = (
    # Chinese, Japanese, Korean
    (
        r"答案|(?:(?<=正确)|(?<=正确的))选项",
        rf"(?:\s*应?该?[是为為](?:{_COLON})?|{_COLON}|\s*选?{_LETTER_NEXT})",
    ),
    (r"答え?|正解|解答", rf"(?:\s*は[、,]?|{_COLON})"),
    (r"(?<!\w)답|정답", rf"(?:은|는|{_COLON})"),
    # German, Dutch, Swedish, Danish, Norwegian
    (
        r"antwort|(?:(?<=richtige )|(?<=korrekte ))option",
        rf"(?:\s+(?:ist|lautet)\b\s*:?|{_COLON})",
    ),
    (r"(?:(?<=ist die )|(?<=lautet die ))antwort", _VALUE_NEXT),
    (r"antwoord", rf"(?:\s+is\b\s*:?|{_COLON})"),
    (r"svar(?:et)?", rf"(?:\s+(?:är|er)\b\s*:?|{_COLON})"),
    # French, Spanish, Italian, Portuguese
    (
        r"(?:r[ée]ponse|respuesta|risposta|resposta)(?:\s+(?:finale?|corr?ett?a|correct[ae]))?"
        r"|(?:opci[óo]n|option|opzione|op[çc][ãa]o|alternativa)\s+(?:corr?ett?a|correct[ae])",
        r"(?:\s+(?:es|est|è|é)(?!\w)(?:\s*:)?"
        rf"|{_COLON})(?:\s+(?:la|le|a|o|el|il)(?=\s+{LETTER}\b))?",
    ),
    # Russian, Polish, Czech
    (r"ответ", rf"(?:\s*[—–]|\s+-(?=\s)|{_COLON})"),
    (r"odpowiedź", rf"(?:\s+(?:to|jest|brzmi)\b\s*:?|{_COLON})"),
    (r"odpověď", rf"(?:\s+je\b\s*:?|{_COLON})"),
    # Turkish, Vietnamese, Indonesian
    (r"cevap", rf"(?:{_COLON}|{_VALUE_NEXT})"),
    (
        r"(?:đáp án|đáp số|câu trả lời)(?:\s+(?:đúng|chính xác|cuối cùng))?",
        rf"(?:\s+là\b\s*:?|{_COLON})",
    ),
    (
        r"jawaban(?:nya)?(?:\s+(?:yang\s+)?(?:benar|tepat|akhir(?:nya)?))?",
        rf"(?:\s+adalah\b\s*:?|{_COLON})",
    ),
    # Arabic, Hebrew, Hindi
    (
        r"(?:الإجابة|الاجابة|الجواب)(?:\s+(?:الصحيحة|الصحيح|النهائية|النهائي))?",
        rf"(?:\s+(?:هي|هو)(?!\w)\s*:?|{_COLON})",
    ),
    (r"תשובה", _COLON),
    # Swahili, Bengali, Telugu, Thai
    (r"jibu(?:\s+(?:sahihi|la mwisho))?", rf"(?:\s+ni\b\s*:?|{_COLON})"),
    (r"উত্তর", rf"(?:\s+(?:হল|হলো|হচ্ছে)(?!\w)\s*:?|{_COLON})"),
    (r"(?:సమాధానం|జవాబు)", rf"(?:{_COLON}|{_VALUE_NEXT})"),
    (r"คำตอบ(?:สุดท้าย)?", rf"(?:\s*คือ\s*:?|{_COLON})"),
    (r"उत्तर", rf"(?:\s+है{_COLON}|{_COLON}|{_VALUE_NEXT})"),
)
# What a sentence may have before them; it says nothing more.
_BEFORE = (
    r"(?:(?:(?:so|thus|hence|therefore|also|daher|somit|donc|ainsi|por (?:lo )?tanto|as[íi]"
    r"|portanto|quindi|dunque|dus|vậy|jadi|итак|таким образом|следовательно|अतः)[,:]?\s+)?"
    r"(?:(?:ist|lautet)\s+)?"
    r"(?:(?:the|my|our|die|het|det|la|a)\s+)?"
    r"(?:(?:final|correct|right|endg[üu]ltige|richtige|korrekte|juiste|goede|correcte|rätta|riktige"
    r"|rigtige|bonne|окончательный|правильный|верный|poprawna|prawidłowa|ostateczna|správná|doğru|सही|अंतिम)\s+)?"
    r"|(?:(?:所以|因此|故|综上|于是|よって|したがって|ゆえに)[、,，]?\s*)?(?:本题的?)?"
    r"(?:最终|最后|正确|最終的?な?)?的?"
    r"|(?:(?:따라서|그러므로),?\s+)?(?:최종\s*)?)"
)
_NOUNS = "|".join(("answer", *(noun for noun, _ in _ELSEWHERE)))
# Marks at the start of a line, with which a short word is one of announcement.
_LINE = r"(?m:^)[#*>\[【 \t]{0,8}"
_BY_THEMSELVES = (
    rf"[【\[](?:参考|正确|final |correct )?(?:{_NOUNS})[】\]](?:{_COLON})?",
    r"(?<!\w)答[:：]",
    # The letter of a choice
    r"(?:故|应|應)?选(?:择|项)?(?:[是为為])?[：:]?(?=\s*[（(]?(?-i:[A-J]+)(?![A-Za-z]))",
    r"\boptions?\s+(?=[^.\n]{1,40}\sare\s+(?:correct|right|true)\b)",
    rf"{_LINE}(?:(?:selected|my|final|correct)\s+)?(?:choice|option|letter|correct|final|key"
    rf"|solution|response)\**:"
    rf"(?=[\W_]*{LETTER}[\W_]*$)",
    r"[\"'](?:(?:final|correct)[_ ]?)?(?:answer|choice|option)[\"']\s*:",  # a key of JSON
    rf"{_LINE}(?:final\s+)?(?:ans\s*[:.=]|answer(?:\.|\s+[-–—])(?=\s))",
    r"\bans\s*:",
)
# Words before an answer, and what joins them to it; and the same with all of their sentence.
ANNOUNCES = "|".join(
    (
        rf"\b{_ENGLISH}",
        *(rf"(?:{noun})\**{join}" for noun, join in _ELSEWHERE),
        rf"chọn{_LETTER_NEXT}",
        *_BY_THEMSELVES,
    )
)
SENTENCE = rf"{_BEFORE}(?:{ANNOUNCES})"
# The same words over an answer, on a line of their own.
HEADS = rf"{_BEFORE}(?:{_NOUNS}|final\s+(?:result|solution))"
# What ends such a sentence behind its answer.
COPULA = re.compile(
    r"(?<!\s)\s*+(?:(?:です|である|だ|となる|입니다|이다|है|seçeneğidir|şıkkıdır)[。．।]?|[。．।])"
    r"(?=\**$)"
)
# What says that more than an answer follows.
REASON = (
    r"(?:\b(?:weil|denn|parce que|car|porque|perché|потому|поскольку)\b|因为|なぜなら|왜냐하면)"
)
# What is over a solution whose answer was said first.
EXPLAINS = (
    r"(?:explanation|explication|explicación|explicação|erklärung|solution|reasoning|rationale"
    r"|解析|解答|解|详解|分析|解説|해설|풀이|пояснение|решение)"
)
