"""Hosts that other machines cannot reach."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return True for a name or an address of this machine that other machines cannot reach."""
    name = host.removeprefix("[").removesuffix("]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
