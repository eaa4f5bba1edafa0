"""Batch engine benchmark: drawn small plates through a local Dask cluster, the facade, and Ray, in turn.

All of them measure a job of an experiment store with the default models, and store each measurement. Dask is
`thale experiment run --engine dask`, the facade is the same command with a running `thale up`, and Ray runs the
function of the Dask tasks as Ray tasks. The order is reversed in every other round. Each round has images of its own,
because a measured image costs no inference. Starts and the loading of the models are not included. CPU seconds are
those of all processes of a contestant, and memory is their proportional set size (PSS) at the end of a round.

Ray is installed into a virtual environment of its own, which uses the packages of this interpreter.

    python benchmarks/batch_engine.py [--images 200] [--rounds 2] [--environments FOLDER] [--only Dask facade]

`--images 10000 --rounds 1` is the size of an experiment.
"""

import argparse
import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support import drawn_dishes, sample_images  # noqa: E402 (the repository root is added above)
from thale.client import Client  # noqa: E402
from thale.experiments.address import StoreAddress  # noqa: E402
from thale.experiments.images import NewImage  # noqa: E402
from thale.experiments.store import ExperimentStore  # noqa: E402
from thale.host.interpreter import python_command  # noqa: E402
from thale.imaging.image_io import read_header  # noqa: E402
from thale.schemas.experiment import JobRequest  # noqa: E402

RAY = "ray==2.60.0"
DASK_ALONE = "Dask, 1 process"
CONTESTANTS = ("Dask", "facade", "Ray", DASK_ALONE)
PROCESSES = 2
WARM_UP_IMAGES = 4 * PROCESSES
PORT = 18_610
START_TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Figures:
    """Figures of a job."""

    images: int
    elapsed_s: float
    cpu_s: float
    memory_mib: float

    @property
    def images_per_s(self) -> float:
        """Rate of the job."""
        return self.images / self.elapsed_s

    @property
    def cpu_s_per_image(self) -> float:
        """CPU seconds of all processes per image."""
        return self.cpu_s / self.images


@dataclass
class Plates:
    """Drawn plates that differ from each other: each number is drawn once."""

    number: int = 0

    def draw(self) -> bytes:
        """Return the PNG of the next plate, 570 x 560 px, with two to five roots."""
        self.number += 1
        image = drawn_dishes.blank(570, 560)
        drawn_dishes.draw_dish(image, 40, 45, 470)
        drawn_dishes.draw_roots(image, 40, 45, 470, count=2 + self.number % 4)
        return sample_images.encode(Image.fromarray(drawn_dishes.photograph(image, self.number)), "PNG")


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200, help="images of each contestant, over all rounds")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--environments", type=Path, help="folder for the environment of Ray; without it, no Ray")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    options = parser.parse_args()
    names = [name for name in options.only if name != "Ray" or options.environments is not None]
    interpreters = {"Ray": create_ray_environment(options.environments)} if "Ray" in names else {}
    figures: dict[str, list[Figures]] = defaultdict(list)
    plates, images = Plates(), max(1, options.images // options.rounds)
    with tempfile.TemporaryDirectory() as temp_dir:
        homes = {name: Path(temp_dir) / f"home{number}" for number, name in enumerate(names)}
        for turn in range(options.rounds):
            for name in names if turn % 2 == 0 else names[::-1]:
                if name == "facade":
                    found = measure_facade(homes[name], plates, images)
                else:
                    found = measure_tasks(name, interpreters.get(name), homes[name], plates, images)
                figures[name].append(found)
                sys.stdout.write(
                    f"round {turn + 1}: {name}: {images} images, {found.images_per_s:.2f} images/s, "
                    f"{found.cpu_s_per_image:.2f} CPU s per image, {found.memory_mib:.0f} MiB\n"
                )
                sys.stdout.flush()
    print_table(names, figures)


def submit(store: ExperimentStore, name: str, plates: Plates, images: int) -> str:
    """Store images as an experiment, and return a job that measures them."""
    store.experiments.create(name, "", "local")
    for number in range(images):
        data = plates.draw()
        metadata = read_header(data, f"p{number}.png", None)
        store.images.add(name, NewImage(metadata, data, f"p{number}.png", f"p{number}"), None)
    return store.jobs.submit(JobRequest(experiment=name), "local").id


def measure_tasks(contestant: str, python: Path | None, home: Path, plates: Plates, images: int) -> Figures:
    """Measure a job as tasks of Dask or Ray, in a process of its own. `python` is another interpreter than this one."""
    with closing(ExperimentStore.open(StoreAddress(home / "experiments"))) as store:
        jobs = [submit(store, f"{plates.number}", plates, count) for count in (WARM_UP_IMAGES, images)]
    engine = "ray" if contestant == "Ray" else "dask"
    processes = 1 if contestant == DASK_ALONE else PROCESSES
    command = python_command(str(Path(__file__).with_name("batch_tasks.py")), engine, "--home", str(home))
    command += ["--processes", str(processes), "--warm-up", jobs[0], "--job", jobs[1]]
    if python is not None:
        command[0] = str(python)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 (ours)
    return Figures(images, **json.loads(done.stdout.splitlines()[-1]))


def measure_facade(home: Path, plates: Plates, images: int) -> Figures:
    """Measure a job with a platform that is started for it."""
    with running_platform(home) as (process, client):
        with closing(ExperimentStore.open(StoreAddress(home / "experiments"))) as store:
            wait_for_job(client, submit(store, f"{plates.number}", plates, WARM_UP_IMAGES))
            data_ready = submit(store, f"{plates.number}", plates, images)
        started_s, cpu_s = time.monotonic(), tree_cpu_s(process)
        wait_for_job(client, data_ready)
        elapsed_s = time.monotonic() - started_s
        tree = [process, *process.children(recursive=True)]
        memory_mib = sum(member.memory_full_info().pss for member in tree) / 2**20
        return Figures(images, elapsed_s, tree_cpu_s(process) - cpu_s, memory_mib)


@contextmanager
def running_platform(home: Path) -> Iterator[tuple[psutil.Process, Client]]:
    """Run `thale up` until the context ends."""
    command = python_command("-m", "thale", "up", "--home", str(home), "--port", str(PORT))
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Client(f"http://127.0.0.1:{PORT}", retries=2) as client:
            deadline_s = time.monotonic() + START_TIMEOUT_S
            while not client.is_ready():
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError("`thale up` is not ready: run it by hand, and read its output")
                time.sleep(0.3)
            yield process, client
    finally:
        tree = [process, *process.children(recursive=True)]
        process.terminate()
        _, survivors = psutil.wait_procs(tree, timeout=30)
        for survivor in survivors:
            survivor.kill()


def wait_for_job(client: Client, job_id: str) -> None:
    """Wait for the end of a job of the facade."""
    while (job := client.experiments.job(job_id)).state == "running":
        time.sleep(0.2)
    if job.progress.measured != job.progress.total:
        raise RuntimeError(f"the facade measured {job.progress.measured} of {job.progress.total} images")


def tree_cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and its descendants."""
    tree = [process, *process.children(recursive=True)]
    return sum(times.user + times.system for times in (member.cpu_times() for member in tree))


def create_ray_environment(folder: Path) -> Path:
    """Create the virtual environment of Ray unless it is complete, and return its interpreter."""
    home = folder / "ray-tasks"
    python, complete = home / "bin" / "python", home / "complete"
    if complete.exists() and complete.read_text() == RAY:
        return python
    sys.stdout.write(f"installing {RAY}\n")
    venv.create(home, clear=True, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", RAY]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (the command is ours)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    complete.write_text(RAY)
    return python


def print_table(names: Sequence[str], figures: dict[str, list[Figures]]) -> None:
    """Print the medians of all rounds, and the multiples of Dask."""
    sys.stdout.write(
        "\nimages/s, CPU s per image, MiB (medians), and Dask's multiple of the rate and of the CPU time\n"
    )
    medians = {
        name: tuple(
            statistics.median(getattr(found, key) for found in figures[name])
            for key in ("images_per_s", "cpu_s_per_image", "memory_mib")
        )
        for name in names
    }
    own = medians.get("Dask")
    for name, (rate, cpu_s, memory_mib) in medians.items():
        multiples = f"{own[0] / rate:5.2f}x {own[1] / cpu_s:5.2f}x" if own else ""
        sys.stdout.write(f"{name:16} {rate:6.2f} {cpu_s:6.2f} {memory_mib:6.0f}   {multiples}\n")
    if own and DASK_ALONE in medians:
        efficiency = own[0] / medians[DASK_ALONE][0] / PROCESSES
        sys.stdout.write(f"scaling efficiency from 1 to {PROCESSES} processes: {efficiency:.0%}\n")


if __name__ == "__main__":
    main()
