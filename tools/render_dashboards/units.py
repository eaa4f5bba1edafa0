"""Formatting of values with units, as in Grafana."""

import math

_BYTES = (" B", " kB", " MB", " GB", " TB")
_SHORT = ("", " K", " Mil", " Bil")
_SECONDS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_UNIT_SUFFIXES = {"reqps": " req/s", "watt": " W", "celsius": " °C", "percent": "%", "ms": " ms"}


def format_value(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value with its unit, or a dash if it is not finite.

    Raises:
        ValueError: If the unit is unknown.
    """
    if not math.isfinite(value):
        return "-"
    if unit == "percentunit":
        return f"{_format_number(100 * value, decimals)}%"
    if unit == "s":
        return _format_duration(value, decimals)
    if unit in ("decbytes", "Bps"):
        return _format_scaled(value, _BYTES, decimals) + ("/s" if unit == "Bps" else "")
    if unit == "short":
        return _format_scaled(value, _SHORT, decimals)
    if unit == "bool":
        return "yes" if value else "no"
    if unit in _UNIT_SUFFIXES:
        return f"{_format_number(value, decimals)}{_UNIT_SUFFIXES[unit]}"
    if unit.startswith("suffix:"):
        return f"{_format_number(value, decimals)}{unit.removeprefix('suffix:')}"
    raise ValueError(f"unknown unit {unit}: add it to tools/render_dashboards/units.py")


def _format_number(value: float, decimals: int | None) -> str:
    """Return a number with the given decimals, or with three significant digits."""
    if decimals is None:
        digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{min(digits, 6)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:,.{decimals}f}"


def _format_duration(value: float, decimals: int | None) -> str:
    if value == 0:
        return "0 s"
    size, name = next(((size, name) for size, name in _SECONDS if abs(value) >= size), _SECONDS[-1])
    return f"{_format_number(value / size, decimals)} {name}"


def _format_scaled(value: float, names: tuple[str, ...], decimals: int | None) -> str:
    power = 0 if abs(value) < 1000 else min(int(math.log10(abs(value)) / 3), len(names) - 1)
    return f"{_format_number(value / 1000**power, decimals)}{names[power]}"
