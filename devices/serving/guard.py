"""Who may ask: no page of another site, and no name that somebody else let point here."""

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host is this computer alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Which requests a server at `host` answers, by their headers.

    A page whose name was made to point here (DNS rebinding) sends that name as Host, and any
    other page its own as Origin. Addresses cannot be made to point elsewhere.
    """

    def __init__(self, host: str) -> None:
        self._open = not is_loopback(host)
        own = socket.gethostname().lower()
        self._names = {"localhost", host.lower()} | ({own, f"{own}.local"} if self._open else set())

    def refusal(self, headers: Mapping[str, str]) -> str:
        """Why a request is refused, in a sentence; '' where it is not."""
        host = headers.get("host", "")
        if not self._known(host):
            return f"Host: {host[:100]!r} is not a name of this server."
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return f"Origin: pages of {origin[:100]!r} may not ask this server."
        return ""

    def _known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
            return self._open or address.is_loopback
        except ValueError:
            return False
