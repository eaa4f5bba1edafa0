"""Entity tags of stored results that never change, and requests that have them already (RFC 9110, section 13.1.2)."""


def matches(if_none_match: str, etag: str) -> bool:
    """Return True if a header If-None-Match has this entity tag."""
    candidates = [text.strip().removeprefix("W/") for text in if_none_match.split(",")]
    return etag in candidates or "*" in candidates
