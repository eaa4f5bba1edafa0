"""Tests of `thale release` on a data directory with a release state and a fake facade that only has counters."""

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
from thale.release.registry.signatures import Signature, read_public_key, read_signature
from thale.release.registry.stores import FolderStore
from thale.release.targets.update import author_now
from thale.schemas import Release, ReleaseState
from thale_models.archive import write_archive

TIMEOUT_S = 240
STABLE, CANARY = "1.0.0", "1.1.0"


Run = Callable[..., "CommandOutcome"]


@dataclass(frozen=True)
class CommandOutcome:
    """Exit status and output of a command."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    """Return a function that runs the command line in this process."""
    previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
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
    for number, handler in previous_handlers.items():
        signal.signal(number, handler)


@dataclass(frozen=True)
class LocalRelease:
    """A data directory whose running platform is a fake facade."""

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
def local_release(tmp_path: Path) -> Iterator[LocalRelease]:
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
            local_release = LocalRelease(data_dir, facade)
            local_release.write_releases(
                transitions.start_canary(
                    make_release(STABLE), make_version(CANARY), author_now("anna", "better on dark plates")
                )
            )
            yield local_release


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.05)


@pytest.mark.slow
def test_step_is_printed_and_logged_with_author(local_release: LocalRelease, run: Run) -> None:
    outcome = run("step", "--why", "checked 40 plates [dark]", user="ben")
    assert outcome.status == 0, outcome.stderr
    event = local_release.release.history[-1]
    assert (event.what, event.who, event.why, event.weight_percent) == ("step", "ben", "checked 40 plates [dark]", 25)
    for expected in ("plate-seg: step 1.1.0, 25 %", "; ben: checked 40 plates [dark]"):
        assert expected in outcome.stdout
    logged = [json.loads(text) for text in (local_release.data_dir.logs / "audit.jsonl").read_text().splitlines()]
    assert [(entry["what"], entry["who"], entry["model"]) for entry in logged] == [("step", "ben", MODEL)]


@pytest.mark.slow
def test_abort_and_rollback_end_the_rollout(local_release: LocalRelease, run: Run) -> None:
    for arguments, what in ((("abort",), "abort"), (("rollback", MODEL), "roll back")):
        local_release.write_releases(transitions.start_canary(make_release(STABLE), make_version(CANARY), ANNA))
        assert run(*arguments, "--why", "too slow").status == 0
        assert (local_release.release.stable, local_release.release.canary, local_release.release.history[-1].what) == (
            STABLE,
            None,
            what,
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("step",), "the judge has not approved the canary of plate-seg (no verdict yet)"),
        (("promote",), "is at 5 % and has not reached its last step"),
        (("step", "--why", " "), "--why is empty"),
        (("step", "missing", "--why", "so"), "unknown model 'missing'"),
        (("rollback",), "Missing option '--why'"),
        (("canary", MODEL, "9.9.9", "--why", "so", "--steps", "5,x"), "'x' is not a number"),
        (("canary", MODEL, "9.9.9", "--why", "so"), "unknown model 'plate-seg'"),
        (("rollback", "--to", "0.9.0", "--why", "so"), "has the canary 1.1.0: roll it back"),
        (("shadow", MODEL, "--why", "so"), "pass either a version, or --off"),
        (("shadow", MODEL, "--off", "--why", "so"), "its shadow ends with the rollout"),
        (("status", "missing"), "unknown model 'missing'"),
        (("status", "--watch", "--json"), "remove --watch"),
        (("simulate", MODEL, "--fault", "errors"), "invalid fault 'errors'"),
        (("simulate", MODEL, "--fault", "dice=-1"), "invalid fault 'dice=-1'"),
        (("watch", "--slo", "gone.toml"), "cannot be read from gone.toml"),
        (("watch", "--policy", "gone.toml"), "the judge policy cannot be read from gone.toml"),
        (("--target", "laptop", "-n", "plants", "status"), "remove one of them"),
    ],
)
def test_invalid_usage_exits_with_2_and_changes_nothing(
    local_release: LocalRelease, run: Run, arguments: tuple[str, ...], expected: str
) -> None:
    before = local_release.data_dir.release_state.read_bytes()
    outcome = run(*arguments)
    assert outcome.status == 2, outcome.stdout + outcome.stderr
    assert expected in " ".join(outcome.stderr.replace("│", " ").split())
    assert local_release.data_dir.release_state.read_bytes() == before


def test_list_shows_the_signature_of_each_version(
    local_release: LocalRelease, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_tiny_model(tmp_path / "tiny", name=MODEL, version="2.0.0")
    archive = write_archive(model.weights, model.card, tmp_path)
    monkeypatch.setenv("THALE_SIGNING_PASSWORD", "correct horse")
    assert "keep it off the servers" in run("keygen", "--out", str(tmp_path / "keys")).stdout
    key = str(tmp_path / "keys" / "thale-signing.key")
    assert f"{archive}.sig: signed by the key" in run("sign", str(archive), "--key", key).stdout
    public_key = tmp_path / "keys" / "thale-signing.pub"
    signature = Signature(read_public_key(public_key).id, read_signature(tmp_path / f"{archive.name}.sig"))
    store = FolderStore(local_release.data_dir.registry)
    store.put(archive)
    assert " unsigned " in run("list").stdout
    store.put(archive, signature)
    assert f" {signature.key_id}, not verified " in run("list").stdout
    monkeypatch.setenv("THALE_SIGNING_PUBLIC_KEYS", str(public_key))
    assert f" {signature.key_id}, valid " in run("list").stdout
    monkeypatch.setenv("THALE_SIGNING_PASSWORD", "wrong")
    outcome = run("sign", str(archive), "--key", key)
    assert outcome.status == 1
    assert "the password is wrong" in outcome.stderr


def test_step_requires_model_unless_one_has_a_canary(local_release: LocalRelease, run: Run) -> None:
    other = Release(task="segmentation", stable=STABLE, versions={STABLE: make_version(STABLE, "plate-tips")})
    local_release.write_releases(
        local_release.release, transitions.start_canary(other, make_version(CANARY, "plate-tips"), ANNA)
    )
    assert "plate-seg and plate-tips have canaries" in run("step", "--why", "so").stderr
    local_release.write_releases(make_release(STABLE), other)
    assert "no model has a canary" in run("abort", "--why", "so").stderr
    assert "has no canary" in run("abort", MODEL, "--why", "so").stderr


def test_release_error_names_thale_up_without_platform(run: Run) -> None:
    for arguments in (("status",), ("step", "--why", "so"), ("watch", "--metrics-port", "0")):
        outcome = run(*arguments)
        assert (outcome.status, "start it with `thale up`" in outcome.stderr) == (1, True)


def test_history_lists_changes_newest_first(local_release: LocalRelease, run: Run) -> None:
    local_release.write_releases(transitions.step(local_release.release, author_now("ben", "fine so far")))
    expected = run("history", MODEL).stdout
    assert expected.index("fine so far") < expected.index("better on dark plates")
    local_release.write_releases(make_release(STABLE))
    assert "1.0.0 is the stable version; the history has no changes" in run("history", MODEL).stdout


def test_status_prints_rollout_as_table_and_json(local_release: LocalRelease, run: Run) -> None:
    table = run("status").stdout
    for expected in (MODEL, STABLE, "95 %", CANARY, "canary", "5 %", "1 of 4", "no rollout controller has run yet"):
        assert expected in table
    [status] = json.loads(run("status", MODEL, "--json").stdout)["models"]
    assert (status["stable"], status["canary"], status["weight_percent"]) == (STABLE, CANARY, 5)
    assert (status["verdict"], status["loaded_versions"]) == (None, [STABLE, CANARY])


@pytest.mark.integration
def test_status_watch_updates_terminal_until_ctrl_c(local_release: LocalRelease) -> None:
    terminal, process_side = os.openpty()
    environment = {**os.environ, "THALE_HOME": str(local_release.data_dir.path), "TERM": "xterm", "COLUMNS": "150"}
    command = [sys.executable, "-m", "thale", "release", "status", "--watch"]
    process = subprocess.Popen(command, stdout=process_side, stderr=process_side, env=environment)
    try:
        output = b""
        while b"1 of 4" not in output:
            output += os.read(terminal, 4096)
        local_release.write_releases(transitions.step(local_release.release, ANNA))
        while b"2 of 4" not in output:
            output += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(process_side)
        os.close(terminal)


@pytest.mark.integration
def test_watch_judges_exports_metrics_and_ends_on_sigterm(local_release: LocalRelease, run: Run) -> None:
    controller = local_release.start("watch", "--metrics-port", "0")
    assert controller.stderr is not None
    port = next(json.loads(line)["port"] for line in controller.stderr if "metrics server started" in line)

    def fetch(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_S) as response:
            return str(response.read().decode())

    try:
        assert fetch("/health/live") == "200 OK\n"
        wait_for(lambda: "thale_release_leader 1.0" in fetch("/metrics"))
        wait_for(lambda: local_release.facade.scrapes)
        local_release.facade.count_responses(STABLE, 1000)
        local_release.facade.count_responses(CANARY, 120)
        wait_for(lambda: '"requests": 120' in run("status", "--json").stdout)
        table = run("status").stdout
        for text in ("inconclusive", "only 120 of 200", "last poll by anna's controller", "1000"):
            assert text in table
        local_release.facade.count_responses(STABLE, 10000)
        local_release.facade.count_responses(CANARY, 1000)
        wait_for(lambda: local_release.release.weight_percent == 25)
        assert local_release.release.history[-1].who == "anna's controller"
    finally:
        controller.send_signal(signal.SIGTERM)
        _, rest = controller.communicate(timeout=TIMEOUT_S)
    assert controller.returncode == 0, rest
    assert all(json.loads(line) for line in rest.splitlines())
    assert (local_release.data_dir.logs / "audit.jsonl").read_text().count('"what": "step"') == 1


@pytest.mark.integration
def test_watch_once_ends_without_canary(local_release: LocalRelease) -> None:
    local_release.write_releases(make_release(STABLE))
    controller = local_release.start("watch", "--once", "--metrics-port", "0")
    _, rest = controller.communicate(timeout=TIMEOUT_S)
    assert controller.returncode == 0, rest


@pytest.mark.integration
def test_watch_rejects_port_in_use(local_release: LocalRelease) -> None:
    port = local_release.facade.url.split(":")[2].split("/")[0]
    controller = local_release.start("watch", "--metrics-port", port)
    _, rest = controller.communicate(timeout=TIMEOUT_S)
    assert (controller.returncode, f"cannot listen on 127.0.0.1:{port}" in rest) == (2, True)


def test_list_prints_roles_and_register_rejects_damaged_archive(
    local_release: LocalRelease, run: Run, tmp_path: Path
) -> None:
    assert "no versions are registered" in run("list").stdout
    model = write_tiny_model(tmp_path / "weights", name=MODEL, version=CANARY)
    archive = write_archive(model.weights, model.card, tmp_path)
    FolderStore(local_release.data_dir.registry).put(archive)
    expected = run("list", MODEL).stdout
    for text in (MODEL, CANARY, "canary, 5 %, shadow", "canary started"):
        assert text in expected
    again = run("register", str(archive))
    assert (again.status, "is already registered" in again.stdout) == (0, True)
    archive.write_bytes(archive.read_bytes()[:-100])
    rejected = run("register", str(archive))
    assert (rejected.status, archive.name in rejected.stderr) == (1, True)
    assert run("register", str(tmp_path / "gone.mar")).status == 2


def test_simulate_prints_outcome_without_changes(local_release: LocalRelease, run: Run) -> None:
    before = local_release.data_dir.release_state.read_bytes()
    arguments = ("simulate", MODEL, "--fault", "errors=0.2", "--hours", "0.2", "--json")
    first = json.loads(run(*arguments).stdout)
    assert (first["outcome"], first["weight_changes"][0]["weight_percent"]) == ("rolled back", 5)
    second = json.loads(run(*arguments).stdout)
    assert second == first
    output = run("simulate", MODEL, "--hours", "0.01").stdout
    assert "undecided" in output
    assert "plate-seg 1.0.1" in output
    assert local_release.data_dir.release_state.read_bytes() == before
