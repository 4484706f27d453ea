# ruff: noqa: RUF001 - letters of other scripts are what is read here
"""The units that are known: what each measures, and how many metres, grams, seconds … it is."""

from fractions import Fraction

Kind = dict[str, int]  # the power of each dimension
# What is made of other dimensions. Masses are in grams.
_DERIVED: dict[str, Kind] = {
    "volume": {"length": 3},
    "force": {"mass": 1, "length": 1, "time": -2},
    "pressure": {"mass": 1, "length": -1, "time": -2},
    "energy": {"mass": 1, "length": 2, "time": -2},
    "power": {"mass": 1, "length": 2, "time": -3},
    "frequency": {"time": -1},
    "charge": {"current": 1, "time": 1},
    "voltage": {"mass": 1, "length": 2, "time": -3, "current": -1},
    "resistance": {"mass": 1, "length": 2, "time": -3, "current": -2},
    "capacitance": {"mass": -1, "length": -2, "time": 4, "current": 2},
    "inductance": {"mass": 1, "length": 2, "time": -2, "current": -2},
    "magnetic field": {"mass": 1, "time": -2, "current": -1},
    "magnetic flux": {"mass": 1, "length": 2, "time": -2, "current": -1},
    "concentration": {"amount": 1, "length": -3},
}
_INCH = Fraction(254, 10000)
_JOULE = 1000
_KINDS: dict[str, dict[str, Fraction | int]] = {
    "length": {
        "m meter metre м 米": 1,
        "micron": Fraction(1, 10**6),
        "Å angstrom": Fraction(1, 10**10),
        "in inch inche": _INCH,
        "ft foot feet": 12 * _INCH,
        "yd yard": 36 * _INCH,
        "mi mile": 63360 * _INCH,
        "公里 千米": 1000,
        "厘米": Fraction(1, 100),
        "毫米": Fraction(1, 1000),
    },
    "mass": {
        "g gram г 克": 1,
        "kilo 千克 公斤": 1000,
        "lb pound": Fraction(45359237, 100000),
        "oz ounce": Fraction(45359237, 1600000),
        "ton tonne": 10**6,
    },
    "time": {
        "s sec second 秒": 1,
        "min minute мин 分钟": 60,
        "h hr hour ч 小时": 3600,
        "d day 天": 86400,
        "week wk": 604800,
    },
    "months": {"month": 1, "year yr": 12},
    "volume": {
        "l liter litre л 升": Fraction(1, 1000),
        "毫升": Fraction(1, 10**6),
        "cc": Fraction(1, 10**6),
        "gal gallon": 231 * _INCH**3,
    },
    "dollars": {"$ us$ usd dollar buck": 1, "¢ cent": Fraction(1, 100)},
    "australian dollars": {"a$ au$ aud": 1},
    "canadian dollars": {"c$ ca$ cad": 1},
    "hong kong dollars": {"hk$ hkd": 1},
    "euros": {"€ eur euro": 1},
    "sterling": {"£ gbp quid": 1},
    "yen": {"¥ jpy yen": 1},
    "singapore dollars": {"s$ sgd": 1},
    "taiwan dollars": {"nt$ twd": 1},
    "pesos": {"₱ php peso": 1},
    "won": {"₩ krw won": 1},
    "rupees": {"₹ inr r rs rupee": 1},
    "percent": {"% percent pct": 1},
    "angle": {"° degree deg": 1},
    "radians": {"rad radian": 1},
    "current": {"A amp ampere": 1},
    "amount": {"mol mole": 1},
    "temperature": {"K kelvin": 1},
    "celsius": {"°c celsius centigrade": 1},
    "fahrenheit": {"°f fahrenheit": 1},
    "force": {"N newton": 1000},
    "pressure": {"Pa pascal": 1000, "bar": 10**8, "atm atmosphere": 101325 * 1000},
    "energy": {
        "J joule": _JOULE,
        "cal calorie": Fraction(4184, 1000) * _JOULE,
        "eV electronvolt": Fraction(1602176634, 10**28) * _JOULE,
        "Wh": 3600 * _JOULE,
    },
    "power": {"W watt": 1000},
    "frequency": {"Hz hertz": 1},
    "charge": {"C coulomb": 1},
    "voltage": {"V volt": 1000},
    "resistance": {"Ω ohm": 1000},
    "capacitance": {"F farad": Fraction(1, 1000)},
    "inductance": {"H henry": 1000},
    "magnetic field": {"T tesla": 1000},
    "magnetic flux": {"Wb weber": 1000},
    "concentration": {"M molar": 1000},
}
_PREFIXES = {
    "p": ("pico", Fraction(1, 10**12)),
    "n": ("nano", Fraction(1, 10**9)),
    "μ": ("micro", Fraction(1, 10**6)),
    "m": ("milli", Fraction(1, 1000)),
    "c": ("centi", Fraction(1, 100)),
    "d": ("deci", Fraction(1, 10)),
    "k": ("kilo", Fraction(1000)),
    "M": ("mega", Fraction(10**6)),
    "G": ("giga", Fraction(10**9)),
    "T": ("tera", Fraction(10**12)),
}
# Those that people write before a symbol; others, as those of kT, are more often a product.
_WITH = {
    **{"m": "pnμmcdk", "g": "nμmk", "s": "pnμm", "l": "μmcd", "mol": "nμmk", "A": "nμmk"},
    **{"N": "μmkM", "Pa": "mkMG", "J": "mkMG", "cal": "k", "eV": "kMGT", "Wh": "kMG"},
    **{"W": "μmkMG", "Hz": "mkMGT", "C": "pnμm", "V": "μmkM", "Ω": "mkMG", "F": "pnμm"},
    **{"H": "μm", "T": "μm", "M": "nμm", "bar": "m"},
}
_CYRILLIC = {"км": "km", "см": "cm", "мм": "mm", "кг": "kg", "мг": "mg", "мл": "ml"}


def _known() -> dict[str, tuple[Kind, Fraction]]:
    found: dict[str, tuple[Kind, Fraction]] = {}
    for kind, units in _KINDS.items():
        for aliases, factor in units.items():
            symbol, *words = aliases.split()
            held = _DERIVED.get(kind, {kind: 1})
            for alias in (symbol, *words):
                found[alias] = (held, Fraction(factor))
            for prefix in _WITH.get(symbol, ""):
                name, times = _PREFIXES[prefix]
                signs = ("μ", "µ", "u") if prefix == "μ" and symbol != "s" else (prefix,)
                for alias in (*(sign + symbol for sign in signs), *(name + w for w in words)):
                    found[alias] = (held, factor * times)
    found |= {alias: found[unit] for alias, unit in _CYRILLIC.items()}
    lowered = [alias.lower() for alias in found if len(alias) > 2 and not alias.islower()]
    plainly = {alias.lower(): held for alias, held in found.items() if len(alias) > 2}
    return {a: plainly[a] for a in lowered if lowered.count(a) == 1} | found


UNITS = _known()
