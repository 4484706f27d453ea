"""Words after a number that multiply it, by language: `3 million`, `3万`, `3 lakh`, `3 млн`."""

import re

_LANGUAGES: dict[str, dict[str, int]] = {
    "English": {
        "tens": 10,
        "hundred hundreds": 100,
        "thousand thousands": 10**3,
        "million millions mln": 10**6,
        "billion billions bn bln": 10**9,
        "trillion trillions trn": 10**12,
        "quadrillion quadrillions": 10**15,
        "dozen dozens": 12,
        "lakh lakhs lac lacs": 10**5,
        "crore crores": 10**7,
    },
    "German": {
        "hundert": 100,
        "tausend tsd": 10**3,
        "millionen mio": 10**6,
        "milliarde milliarden mrd": 10**9,
        "billionen": 10**12,
    },
    "French": {
        "mille millier milliers": 10**3,
        "milliard milliards": 10**9,
    },
    "Spanish, Portuguese and Italian": {
        "mil mila": 10**3,
        "millón millones milhão milhões milione milioni": 10**6,
        "miliardo miliardi bilhão bilhões": 10**9,
        "billón billones trilhão trilhões bilione bilioni": 10**12,
    },
    "Dutch and Swedish": {
        "duizend tusen": 10**3,
        "miljoen miljon miljoner": 10**6,
        "miljard miljarder": 10**9,
    },
    "Polish and Czech": {
        "tys tysiąc tysiące tysięcy tisíc": 10**3,
        "milion miliony milionów milionů": 10**6,
        "mld miliard miliardy miliardów": 10**9,
    },
    "Russian and Ukrainian": {
        "тыс тысяча тысячи тысяч тис тисяч": 10**3,
        "млн миллион миллиона миллионов мільйон мільйони мільйонів": 10**6,
        "млрд миллиард миллиарда миллиардов мільярд мільярдів": 10**9,
        "трлн триллион триллиона триллионов": 10**12,
    },
    "Turkish": {"bin": 10**3, "milyon": 10**6, "milyar": 10**9},
    "Indonesian": {"ribu": 10**3, "juta": 10**6, "miliar milyar": 10**9, "triliun": 10**12},
    "Vietnamese": {"nghìn ngàn": 10**3, "triệu": 10**6, "tỷ tỉ": 10**9},
    "Hindi and Bengali": {
        "हज़ार हजार হাজার": 10**3,
        "लाख লাখ লক্ষ": 10**5,
        "करोड़ কোটি": 10**7,
    },
    "Arabic and Persian": {"ألف آلاف هزار": 10**3, "مليون میلیون": 10**6, "مليار میلیارد": 10**9},
}
# Words that stand before their unit without a space.
_JOINED: dict[str, int] = {
    **{"百": 100, "千": 10**3, "万": 10**4, "萬": 10**4, "百万": 10**6, "百萬": 10**6},
    **{"千万": 10**7, "千萬": 10**7, "亿": 10**8, "億": 10**8, "兆": 10**12},
    **{"백": 100, "천": 10**3, "만": 10**4, "백만": 10**6, "천만": 10**7, "억": 10**8},
    **{"조": 10**12},
    **{"พัน": 10**3, "หมื่น": 10**4, "แสน": 10**5, "ล้าน": 10**6},
}
SCALES: dict[str, int] = {
    word: factor
    for words in _LANGUAGES.values()
    for each, factor in words.items()
    for word in each.split()
}
_WORD = re.compile(r"([^\W\d_][\w\u0300-\u036f\u0900-\u09ff'-]*)\.?\s*")
_GLUED = re.compile(
    # 千克 is a kilogram, 百分点 a point of a percent, 조각 a piece.
    rf"\s*({'|'.join(sorted(_JOINED, key=len, reverse=True))})(?![克米瓦卡伏赫焦帕分]|각|큼)\s*"
)
# One of either behind a number of a running text.
IN_TEXT = re.compile(
    rf"{_GLUED.pattern}| (?:{'|'.join(sorted(SCALES, key=len, reverse=True))})(?!\w)", re.IGNORECASE
)
# What looks like a scale, and is in no table.
_UNKNOWN = re.compile(r"(?!billiard)\w*illi(?:on|ard)\w*", re.IGNORECASE)


def scaled(after: str) -> tuple[int, str] | None:
    """What the words after a number multiply it by, and the rest; None for an unknown scale."""
    factor = 1
    while match := _GLUED.match(after):
        factor, after = factor * _JOINED[match[1]], after[match.end() :]
    while (match := _WORD.match(after)) and match[1].casefold() in SCALES:
        factor, after = factor * SCALES[match[1].casefold()], after[match.end() :]
    return None if _UNKNOWN.match(after) else (factor, after.strip())
