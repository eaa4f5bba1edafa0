"""`thale release` as a user runs it, on a home whose platform seems to run: a record, and a facade that only counts."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fake_facade import MODEL, FakeFacade, run_fake_facade
from tests.support.sample_releases import ANNA, make_release, make_version
from tests.support.tiny_models import write_tiny_model
from thale._version import __version__
from thale.cli import main
from thale.local.data_dir import DataDir, RunningPlatform
from thale.local.ports import Addresses
from thale.release.lifecycle import transitions
from thale.release.registry.stores import FolderStore
from thale.release.targets.update import author_now
from thale.schemas import Release, ReleaseState
from thale_models.archive import write_archive

TIMEOUT_S = 240
STABLE, CANARY = "1.0.0", "1.1.0"


Run = Callable[..., "CommandOutcome"]


@dataclass(frozen=True)
class CommandOutcome:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    """Give the command line as a function: the whole of it, but in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setenv("THALE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "150")

    def run(*arguments: str, user: str = "anna") -> CommandOutcome:
        monkeypatch.setenv("THALE_USER", user)
        monkeypatch.setattr(sys, "argv", ["thale", "release", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        return CommandOutcome(exit_info.value.code or 0, out, err)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@dataclass(frozen=True)
class LocalRelease:
    """A home that somebody runs on."""

    data_dir: DataDir
    facade: FakeFacade

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "THALE_HOME": str(self.data_dir.path), "THALE_USER": "anna"}
        command = [sys.executable, "-m", "thale", "release", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def write_releases(self, *releases: Release) -> None:
        models = {release.name: release for release in releases}
        self.data_dir.release_state.write_text(ReleaseState(models=models).model_dump_json())

    @property
    def release(self) -> Release:
        return ReleaseState.model_validate_json(self.data_dir.release_state.read_bytes()).models[MODEL]


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[LocalRelease]:
    data_dir = DataDir(tmp_path)
    with run_fake_facade() as facade:
        unused_url = "http://127.0.0.1:9"
        addresses = Addresses(
            url=unused_url,
            metrics_url=facade.url,
            model_url=unused_url,
            management_url=unused_url,
            model_metrics_url=unused_url,
        )
        with data_dir.publish(RunningPlatform.current_process(addresses, __version__, persistent=True)):
            laptop = LocalRelease(data_dir, facade)
            laptop.write_releases(
                transitions.start_canary(
                    make_release(STABLE), make_version(CANARY), author_now("anna", "better on dark plates")
                )
            )
            yield laptop


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_change_is_signed_told_and_logged(laptop: LocalRelease, run: Run) -> None:
    outcome = run("step", "--why", "looked at 40 plates [dark]", user="ben")
    assert outcome.status == 0, outcome.stderr
    line = laptop.release.history[-1]
    assert (line.what, line.who, line.why, line.weight_percent) == ("step", "ben", "looked at 40 plates [dark]", 25)
    for expected in ("plate-seg: step 1.1.0, 25 %", "; ben: looked at 40 plates [dark]"):
        assert expected in outcome.stdout
    logged = [json.loads(text) for text in (laptop.data_dir.logs / "audit.jsonl").read_text().splitlines()]
    assert [(entry["what"], entry["who"], entry["model"]) for entry in logged] == [("step", "ben", MODEL)]


def test_a_rollout_can_be_aborted_and_taken_back_by_hand(laptop: LocalRelease, run: Run) -> None:
    for arguments, what in ((("abort",), "abort"), (("rollback", MODEL), "roll back")):
        laptop.write_releases(transitions.start_canary(make_release(STABLE), make_version(CANARY), ANNA))
        assert run(*arguments, "--why", "enough").status == 0
        assert (laptop.release.stable, laptop.release.canary, laptop.release.history[-1].what) == (STABLE, None, what)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("step",), "the judge has not judged it yet"),
        (("promote",), "after 5 % of the requests alone"),
        (("step", "--why", " "), "say why in words"),
        (("step", "nobody", "--why", "so"), "no model is called 'nobody'"),
        (("rollback",), "Missing option '--why'"),
        (("canary", MODEL, "9.9.9", "--why", "so", "--steps", "5,x"), "'x' is no number"),
        (("canary", MODEL, "9.9.9", "--why", "so"), "no model is called 'plate-seg'"),
        (("rollback", "--to", "0.9.0", "--why", "so"), "is on trial: roll it back"),
        (("shadow", MODEL, "--why", "so"), "name a version, or end the shadow with --off"),
        (("shadow", MODEL, "--off", "--why", "so"), "its shadow goes with it"),
        (("status", "nobody"), "no model is called 'nobody'"),
        (("status", "--watch", "--json"), "leave --watch away"),
        (("simulate", MODEL, "--fault", "errors"), "the fault 'errors' is not known"),
        (("simulate", MODEL, "--fault", "dice=-1"), "the fault 'dice=-1' is not known"),
        (("watch", "--slo", "gone.toml"), "cannot be read from gone.toml"),
        (("watch", "--policy", "gone.toml"), "the judge policy cannot be read from gone.toml"),
        (("--target", "laptop", "-n", "plants", "status"), "drop one"),
    ],
)
def test_what_is_asked_wrongly_ends_with_status_2_and_changes_nothing(
    laptop: LocalRelease, run: Run, arguments: tuple[str, ...], expected: str
) -> None:
    before = laptop.data_dir.release_state.read_bytes()
    outcome = run(*arguments)
    assert outcome.status == 2, outcome.stdout + outcome.stderr
    assert expected in " ".join(outcome.stderr.replace("│", " ").split())
    assert laptop.data_dir.release_state.read_bytes() == before


def test_where_nothing_is_on_trial_or_several_are_the_model_must_be_named(laptop: LocalRelease, run: Run) -> None:
    other = Release(task="segmentation", stable=STABLE, versions={STABLE: make_version(STABLE, "plate-tips")})
    laptop.write_releases(laptop.release, transitions.start_canary(other, make_version(CANARY, "plate-tips"), ANNA))
    assert "plate-seg and plate-tips have versions on trial" in run("step", "--why", "so").stderr
    laptop.write_releases(make_release(STABLE), other)
    assert "none has a version on trial" in run("abort", "--why", "so").stderr
    assert "has no canary" in run("abort", MODEL, "--why", "so").stderr


def test_without_a_platform_it_is_said_how_to_get_one(run: Run) -> None:
    for arguments in (("status",), ("step", "--why", "so"), ("watch", "--metrics-port", "0")):
        outcome = run(*arguments)
        assert (outcome.status, "start it with `thale up`" in outcome.stderr) == (1, True)


def test_the_history_tells_who_did_what_and_why(laptop: LocalRelease, run: Run) -> None:
    laptop.write_releases(transitions.step(laptop.release, author_now("ben", "fine so far")))
    expected = run("history", MODEL).stdout
    assert expected.index("fine so far") < expected.index("better on dark plates")
    laptop.write_releases(make_release(STABLE))
    assert "1.0.0 has been stable since the start" in run("history", MODEL).stdout


def test_status_tells_the_rollout_to_people_and_machines(laptop: LocalRelease, run: Run) -> None:
    people = run("status").stdout
    for expected in (MODEL, STABLE, "95 %", CANARY, "canary", "5 %", "1 of 4", "nobody has watched yet"):
        assert expected in people
    [machine] = json.loads(run("status", MODEL, "--json").stdout)["models"]
    assert (machine["stable"], machine["canary"], machine["weight_percent"]) == (STABLE, CANARY, 5)
    assert (machine["verdict"], machine["loaded_versions"]) == (None, [STABLE, CANARY])


def test_status_can_be_watched_on_a_terminal_until_ctrl_c(laptop: LocalRelease) -> None:
    terminal, its_end = os.openpty()
    environment = {**os.environ, "THALE_HOME": str(laptop.data_dir.path), "TERM": "xterm", "COLUMNS": "150"}
    command = [sys.executable, "-m", "thale", "release", "status", "--watch"]
    watching = subprocess.Popen(command, stdout=its_end, stderr=its_end, env=environment)
    try:
        shown = b""
        while b"1 of 4" not in shown:
            shown += os.read(terminal, 4096)
        laptop.write_releases(transitions.step(laptop.release, ANNA))
        while b"2 of 4" not in shown:
            shown += os.read(terminal, 4096)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(TIMEOUT_S) == 0
    finally:
        watching.kill()
        watching.wait()
        os.close(its_end)
        os.close(terminal)


def test_a_watcher_judges_tells_and_ends_with_its_lease_when_asked_to(laptop: LocalRelease, run: Run) -> None:
    watcher = laptop.start("watch", "--metrics-port", "0")
    assert watcher.stderr is not None
    port = next(json.loads(line)["port"] for line in watcher.stderr if "metrics server started" in line)

    def fetch(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_S) as answer:
            return str(answer.read().decode())

    try:
        assert fetch("/health/live") == "200 OK\n"
        wait_for(lambda: "thale_release_leader 1.0" in fetch("/metrics"))
        wait_for(lambda: laptop.facade.scrapes)
        laptop.facade.count_responses(STABLE, 1000)
        laptop.facade.count_responses(CANARY, 120)
        wait_for(lambda: '"requests": 120' in run("status", "--json").stdout)
        people = run("status").stdout
        for text in ("inconclusive", "only 120 of 200", "watched by anna's watcher", "1000"):
            assert text in people
        laptop.facade.count_responses(STABLE, 10000)
        laptop.facade.count_responses(CANARY, 1000)
        wait_for(lambda: laptop.release.weight_percent == 25)
        assert laptop.release.history[-1].who == "anna's watcher"
    finally:
        watcher.send_signal(signal.SIGTERM)
        _, rest = watcher.communicate(timeout=TIMEOUT_S)
    assert watcher.returncode == 0, rest
    assert all(json.loads(line) for line in rest.splitlines())
    assert (laptop.data_dir.logs / "audit.jsonl").read_text().count('"what": "step"') == 1


def test_a_watcher_can_end_by_itself(laptop: LocalRelease) -> None:
    laptop.write_releases(make_release(STABLE))
    watcher = laptop.start("watch", "--once", "--metrics-port", "0")
    _, rest = watcher.communicate(timeout=TIMEOUT_S)
    assert watcher.returncode == 0, rest


def test_a_taken_port_is_told(laptop: LocalRelease) -> None:
    port = laptop.facade.url.split(":")[2].split("/")[0]
    watcher = laptop.start("watch", "--metrics-port", port)
    _, rest = watcher.communicate(timeout=TIMEOUT_S)
    assert (watcher.returncode, f"nobody can listen on 127.0.0.1:{port}" in rest) == (2, True)


def test_what_is_registered_is_listed_with_its_use_and_a_bad_archive_is_refused(
    laptop: LocalRelease, run: Run, tmp_path: Path
) -> None:
    assert "nothing is registered" in run("list").stdout
    model = write_tiny_model(tmp_path / "weights", name=MODEL, version=CANARY)
    archive = write_archive(model.weights, model.card, tmp_path)
    FolderStore(laptop.data_dir.registry).put(archive)
    expected = run("list", MODEL).stdout
    for text in (MODEL, CANARY, "canary, 5 %, shadow", "put on trial"):
        assert text in expected
    again = run("register", str(archive))
    assert (again.status, "is registered already" in again.stdout) == (0, True)
    archive.write_bytes(archive.read_bytes()[:-100])
    refused = run("register", str(archive))
    assert (refused.status, archive.name in refused.stderr) == (1, True)
    assert run("register", str(tmp_path / "gone.mar")).status == 2


def test_a_rollout_can_be_rehearsed(laptop: LocalRelease, run: Run) -> None:
    before = laptop.data_dir.release_state.read_bytes()
    arguments = ("simulate", MODEL, "--fault", "errors=0.2", "--hours", "0.2", "--json")
    bad = json.loads(run(*arguments).stdout)
    assert (bad["outcome"], bad["weight_changes"][0]["weight_percent"]) == ("rolled back", 5)
    again = json.loads(run(*arguments).stdout)
    assert again == bad
    people = run("simulate", MODEL, "--hours", "0.01").stdout
    assert "undecided" in people
    assert "plate-seg 1.0.1" in people
    assert laptop.data_dir.release_state.read_bytes() == before
