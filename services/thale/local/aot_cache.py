"""Java's ahead-of-time cache of TorchServe: its classes loaded and linked, kept in a file (JEP 483, JEP 514).

With it TorchServe needs half the processor time until it starts its workers. Made once by `java_training`. The file's
name says what it was made from, and its digest stands beside it: a cache of another Java or another TorchServe, or a
damaged one, is not used, and made anew.
"""

import hashlib
from pathlib import Path

from thale.files import write_atomically
from thale.local.data_dir import Home
from thale.local.runtime import Installed


def options(installed: Installed, home: Home) -> list[str]:
    """Return the options that let Java use the cache; none where there is no cache that is whole and fits."""
    cache = _cache_file(installed, home)
    try:
        whole = _digest(cache) == _digest_file(cache).read_text()
    except FileNotFoundError:
        return []
    return [f"-XX:AOTCache={cache}", "-Xlog:aot*=error"] if whole else []


def keep(fresh: Path, installed: Installed, home: Home) -> None:
    """Take a cache that Java has just written in place of all older ones."""
    cache = _cache_file(installed, home)
    cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in cache.parent.iterdir():
        old.unlink()
    write_atomically(_digest_file(cache), _digest(fresh).encode())
    write_atomically(cache, fresh.read_bytes())


def _cache_file(installed: Installed, home: Home) -> Path:
    """Return where the cache of this Java, this TorchServe and these settings lies."""
    made_from = [installed.java_release.read_text(), *installed.java_options()]
    for jar in sorted(installed.frontend.glob("*.jar")):
        status = jar.stat()
        made_from.append(f"{jar} {status.st_size} {status.st_mtime_ns}")
    key = hashlib.sha256("\n".join(made_from).encode()).hexdigest()
    return home.folder / "java" / f"{key[:16]}.aot"


def _digest_file(cache: Path) -> Path:
    return cache.with_suffix(".sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
