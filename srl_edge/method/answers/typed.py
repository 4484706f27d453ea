# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Formulas as people type them without TeX: `2θ`, `exp(2)`, `log2(3)`, `e^-x`, `10 choose 3`."""

import re

GREEK = {
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta"},
    **{"η": "eta", "θ": "theta", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi"},
    **{"π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi"},
    **{"ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Σ": "Sigma"},
    **{"Φ": "Phi", "Ψ": "Psi", "Ω": "Omega"},
}
_GREEK = re.compile(rf"(?<![Α-ωά-ώ])[{''.join(GREEK)}](?![Α-ωά-ώ])")
_HELD = r"\(((?:[^()]|\([^()]*\))*)\)"
_NO_WORD = r"(?<![A-Za-z\\])"
_RULES = tuple(
    (re.compile(pattern), tex)
    for pattern, tex in (
        (rf"{_NO_WORD}exp ?{_HELD}", r"e^{\1}"),
        (rf"(?:{_NO_WORD}cbrt|∛) ?{_HELD}", r"\\sqrt[3]{\1}"),
        (r"∛ ?(\d+|[A-Za-z])", r"\\sqrt[3]{\1}"),
        (rf"{_NO_WORD}log_?(2|10)(?= ?\()", r"\\log_{\1}"),
        (rf"{_NO_WORD}((?:arc)?(?:sin|cos|tan)|ln|log)(?=\d)", r"\\\1 "),
        (rf"{_NO_WORD}((?:sin|cos|tan)h|sec|csc|cot|arc(?:sin|cos|tan|cot))(?= ?\()", r"\\\1"),
        (rf"(?:{_NO_WORD}|\\)(arc)?tg(?= ?(?:[(\\]|[a-z](?![a-z])))", r"\\\1tan"),
        (rf"(?:{_NO_WORD}|\\)(arc)?ctg(?= ?(?:[(\\]|[a-z](?![a-z])))", r"\\\1cot"),
        (rf"{_NO_WORD}(\d+|[nmk]) choose (\d+|[nmkr])(?![A-Za-z\d])", r"\\binom{\1}{\2}"),
        (rf"{_NO_WORD}C ?_ ?\{{? ?(\d+) ?\}}? ?\^ ?\{{? ?(\d+) ?\}}?", r"\\binom{\1}{\2}"),
        (r"\^ ?-(\d+|[A-Za-z])(?![\w.(\\])", r"^{-\1}"),
    )
)


_SIGNS = re.compile(r"exp|log|ln|sin|cos|tan|sec|csc|cot|cbrt|∛|tg|choose|C ?_|\^ ?-")


def as_tex(text: str) -> str:
    """A plain formula with TeX's commands for what people type in letters and signs."""
    for pattern, tex in _RULES if _SIGNS.search(text) else ():
        text = pattern.sub(tex, text)
    if text.isascii():
        return text
    return _GREEK.sub(lambda letter: rf"\{GREEK[letter[0]]} ", text)
