"""Coverage-guided fuzzing of one parser with atheris: `make fuzz MINUTES=5`.

A failing input is written to `corpus/TARGET/`, where the plain tests repeat it. Linux on x86_64 only.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"

with atheris.instrument_imports(include=["thale", "tests.support.fuzz_targets"]):
    from tests.support.fuzz_targets import SEEDS, TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=1.0)
    options = parser.parse_args()
    found = CORPUS / options.target
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as working_corpus:
        for index, seed in enumerate(SEEDS[options.target]):
            (Path(working_corpus) / f"seed-{index}").write_bytes(seed)
        arguments = [
            sys.argv[0],
            f"-max_total_time={round(options.minutes * 60)}",
            "-max_len=4096",
            "-timeout=10",  # seconds for one input
            "-rss_limit_mb=1024",
            f"-artifact_prefix={found}/",
            working_corpus,
            str(found),
        ]
        atheris.Setup(arguments, TARGETS[options.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
