"""What a terminal would take for a command, in texts of others: names, manifests, errors."""

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """A text whose control characters, but for tabs and line feeds, are replaced by a sign."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
