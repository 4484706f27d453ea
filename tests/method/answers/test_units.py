"""Units are compared by what they measure: prefixes, products, quotients, and their words."""

import pytest

from srl_edge.method.verifiers import is_correct, same_value

EQUAL = [
    *(("3 mol", "3 moles", "3 mole"), ("2 rad", "2 radians"), ("0.1 M", "0.1 mol/L", "0.1 molar")),
    *(("5 um", "5 μm", "5 micrometers"), ("7 mmol", "7 millimoles"), ("6 GHz", "6 gigahertz")),
    *(("8 kPa", "8 kilopascals", "8000 Pa"), ("3 T", "3 teslas"), ("2 atm", "2 atmospheres")),
    *(("4 gal", "4 gallons"), ("9 cal", "9 calories"), ("40 kmph", "40 km/h", "40 kph")),
    *(("6 cc", "6 cm^3", "6 mL", "6 cubic centimeters"), ("30 °C", "30 C", "30 degrees Celsius")),
    *(("8 км", "8 km"), ("8厘米", "8 cm"), ("7 кг", "7 kg"), ("9公里", "9 km")),
    ("6 N·m", r"6\text{ N}\cdot\text{m}", "6 J", r"6 \text{ N·m}"),
    *(("4 kJ/mol", "4 kJ per mole", r"4\text{ kJ mol}^{-1}"), ("2 kg·m/s^2", "2 N")),
    *(("3 W", "3 J/s"), ("5 MV", "5 megavolts"), ("2 kWh", "7.2 MJ"), ("3 C", "3 coulombs")),
    *(("5 KM", "5 km"), ("2 Kg", "2 kg"), ("9 pages per hour", "9 pages/hour")),
]
UNEQUAL = [
    *(("4 kJ", "4 kJ/mol"), ("9 g", "9 g/mol"), ("3 mol", "3 mol/L"), ("7 N", "7 N·m")),
    *(("2 Pa", "2 Pa·s"), ("6 mPa", "6 MPa"), ("8 MHz", "8 mHz"), ("3 mg", "3 mg/dL")),
    *(("9 pages", "9 pages per hour"), ("9 pages per day", "9 pages per hour"), ("4 mW", "4 MW")),
    *(("30 °C", "30 °F"), ("30 °C", "30 K"), ("3 C", "3 A"), ("30 °C", "30 coulombs")),
    *(("5 mM", "5 mm"), ("2 rad", "2 degrees"), ("5 km", "5 cm"), ("8 км", "8 кг")),
    *(("4 J", "4 W"), ("2 mol", "2 moldy loaves"), ("3 T", "3 F"), ("6 kN", "6 N")),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_one_unit(spellings: tuple[str, ...]) -> None:
    for one in spellings:
        for other in spellings:
            assert same_value(one, other), (one, other)
        assert is_correct(f"The answer is {one}.", spellings[0]), one


@pytest.mark.parametrize("pair", UNEQUAL)
def test_units_that_differ(pair: tuple[str, str]) -> None:
    assert not same_value(*pair)
    assert not same_value(*pair[::-1])


@pytest.mark.parametrize("unit", ["kJ/mol", "N·m", "pages per hour", "MPa", "км", "$ per pen"])
def test_a_number_alone_may_have_any_unit(unit: str) -> None:
    assert same_value("12", f"12 {unit}") and same_value(f"12 {unit}", "12")


def test_what_is_not_known_is_counted_by_does_not_matter() -> None:
    assert same_value("$5", "$5 per pen") and same_value("5 pages", "5 pages per book")
