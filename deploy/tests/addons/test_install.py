"""The installer of add-ons: by stand-ins for kubectl and helm that record what they are told."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import KUBERNETES

PLATFORM = KUBERNETES / "platform"
STAND_IN = Path(__file__).with_name("stand_in.sh")
BROUGHT = (
    "crd/scaledobjects.keda.sh",
    "crd/secretproviderclasses.secrets-store.csi.x-k8s.io",
    "crd/podmonitors.azmonitoring.coreos.com",
    "apiservice/v1beta1.metrics.k8s.io",
)
TIMEOUT_S = 240


@dataclass(frozen=True)
class Call:
    """What a program was told."""

    program: str
    stdin: str
    words: tuple[str, ...]

    def option(self, name: str) -> str:
        return self.words[self.words.index(name) + 1]


@dataclass
class Stage:
    """A cluster that is played (stand_in.sh)."""

    room: Path

    def version(self, of: str, version: str) -> None:
        (self.room / "versions" / of).write_text(f"{version}\n")

    def release(self, name: str, **info: str) -> None:
        (self.room / "releases" / name).write_text(json.dumps(info) + "\n")

    def has(self, name: str, **told: object) -> None:
        path = self.room / "objects" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(told))

    def fails(self, *words: str) -> None:
        (self.room / "fails").write_text("".join(f"{word}\n" for word in words))

    def calls(self, program: str, *begin: str) -> list[Call]:
        """Return the calls of a program that begin so."""
        path = self.room / "calls"
        noted = path.read_text().split("\36")[:-1] if path.exists() else []
        calls = [Call(*call.split("\37")[:2], tuple(call.split("\37")[2:-1])) for call in noted]
        return [call for call in calls if call.program == program and call.words[: len(begin)] == begin]

    def forget(self) -> None:
        (self.room / "calls").unlink(missing_ok=True)

    def run(self, *words: str, platform: Path = PLATFORM) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PATH": str(self.room / "bin"), "STAND_INS": str(self.room)}
        command = [sys.executable, "-S", str(platform / "install.py"), *words]  # of the standard library alone
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S)

    def apply(self, environment: str, *words: str) -> "subprocess.CompletedProcess[str]":
        done = self.run("apply", "--environment", environment, *words)
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    for folder in ("bin", "versions", "objects", "releases"):
        (tmp_path / folder).mkdir()
    for name in ("kubectl", "helm"):
        (tmp_path / "bin" / name).symlink_to(STAND_IN)
    for name in ("fails", "applied", "empty"):
        (tmp_path / name).touch()
    played = Stage(tmp_path)
    for of, version in (("kubectl", "v1.35.1"), ("helm", "v3.19.0"), ("server", "v1.35.2")):
        played.version(of, version)
    for name in BROUGHT:
        played.has(name)
    return played


def installed(stage: Stage) -> list[str]:
    return [call.words[2] for call in stage.calls("helm", "upgrade")]


def test_everything_is_installed_in_order_at_exact_versions(stage: Stage) -> None:
    done = stage.apply("dev", "--context", "aks-dev")
    assert installed(stage) == [
        *("cert-manager", "envoy-gateway", "kserve-crd", "kserve"),
        *("otel-collector", "nvidia-device-plugin", "dcgm-exporter"),
    ]
    for call in stage.calls("helm", "upgrade"):
        assert call.words[1] == "--install"
        assert call.option("--version") in done.stdout
        assert {"--wait", "--create-namespace"} <= {*call.words}
        assert call.option("--kube-context") == "aks-dev"
    assert all(
        call.words[:2] == ("--context", "aks-dev") or "--client" in call.words for call in stage.calls("kubectl")
    )
    applied = stage.calls("kubectl", "--context", "aks-dev", "apply")
    assert all(call.option("--field-manager") == "thale-platform" for call in applied)
    assert all("--server-side" in call.words for call in applied)
    assert not any("--force-conflicts" in call.words for call in applied)
    assert applied[0].words[-1].endswith("/gateway-api/releases/download/v1.5.1/standard-install.yaml")


def test_what_is_as_wanted_is_left_alone(stage: Stage) -> None:
    stage.apply("laptop")
    stage.forget()
    done = stage.apply("laptop")
    assert installed(stage) == []
    assert stage.calls("kubectl", "apply") == []
    assert "done" not in done.stdout
    assert stage.run("status", "--environment", "laptop").returncode == 0


def test_an_interrupted_apply_goes_on_where_it_was(stage: Stage) -> None:
    stage.fails("keda")
    done = stage.run("apply", "--environment", "laptop")
    assert done.returncode == 1
    assert "the network is away" in done.stderr
    before = installed(stage)
    stage.fails()
    stage.forget()
    stage.apply("laptop")
    assert installed(stage)[0] == "keda"
    assert not {*installed(stage)} & {*before} - {"keda"}


@pytest.mark.parametrize(("status", "cleared"), [("pending-install", "uninstall"), ("pending-upgrade", "rollback")])
def test_a_release_that_hangs_is_cleared_away(stage: Stage, status: str, cleared: str) -> None:
    stage.apply("laptop")
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    stage.release("kserve", status=status, description="Preparing upgrade", last_deployed=long_ago)
    stage.forget()
    assert f"clear away an interrupted installation ({status})" in stage.apply("laptop").stdout
    assert [call.words[1] for call in stage.calls("helm", cleared)] == ["kserve"]
    assert installed(stage) == ["kserve"]


def test_an_installation_that_goes_on_just_now_is_not_disturbed(stage: Stage) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "123Z")
    stage.release("cert-manager", status="pending-install", description="", last_deployed=now)
    done = stage.run("apply", "--environment", "laptop")
    assert done.returncode == 1
    assert "cert-manager is being installed since" in done.stderr
    assert "say so with --only cert-manager" in done.stderr
    assert not stage.calls("helm", "uninstall")
    stage.apply("laptop", "--only", "cert-manager")
    assert [call.words[1] for call in stage.calls("helm", "uninstall")] == ["cert-manager"]


def test_a_new_version_and_new_values_are_told_apart(stage: Stage) -> None:
    stage.apply("dev")
    stage.release("cert-manager", status="deployed", description="thale-platform v1.19.0 0123456789ab")
    stage.release("kserve", status="deployed", description="thale-platform v0.21.0 0123456789ab")
    stage.release("envoy-gateway", status="deployed", description="Install complete")
    stage.release("otel-collector", status="failed", description="timed out")
    status = stage.run("status", "--environment", "dev")
    assert status.returncode == 1
    for words in (
        "differs: upgrade from v1.19.0",
        "differs: tell it new values",
        "differs: upgrade from what somebody else installed",
        "differs: install again: its last installation is failed",
    ):
        assert words in status.stdout
    stage.forget()
    stage.apply("dev")
    assert installed(stage) == ["cert-manager", "envoy-gateway", "kserve", "otel-collector"]


def test_one_add_on_is_installed_in_any_case(stage: Stage) -> None:
    stage.apply("dev")
    stage.forget()
    stage.apply("dev", "--only", "kserve")
    assert installed(stage) == ["kserve"]
    assert not stage.calls("kubectl", "apply")


def test_an_add_on_that_there_is_not_is_told_with_those_that_there_are(stage: Stage) -> None:
    done = stage.run("apply", "--environment", "dev", "--only", "keda")
    assert done.returncode == 1
    assert done.stderr.startswith("dev has no add-on 'keda': it has gateway-api, ")


def test_a_plan_changes_nothing_and_says_every_command(stage: Stage) -> None:
    done = stage.run("plan", "--environment", "laptop")
    assert done.returncode == 0, done.stderr
    assert installed(stage) == []
    assert not stage.calls("kubectl", "apply")
    planned = [line.split()[3] for line in done.stdout.splitlines() if "helm upgrade --install" in line]
    stage.apply("laptop")
    assert planned == installed(stage)
    assert "helm upgrade" not in stage.run("plan", "--environment", "laptop").stdout


def test_without_tools_all_are_named_with_where_to_get_them(stage: Stage) -> None:
    for name in ("kubectl", "helm"):
        (stage.room / "bin" / name).unlink()
    for what, status in (("apply", 1), ("status", 1), ("plan", 0)):
        done = stage.run(what, "--environment", "dev")
        assert done.returncode == status
        said = done.stdout + done.stderr
        assert "kubectl is not on the PATH: get 1.32 or newer from https://kubernetes.io" in said
        assert "helm is not on the PATH: get 3.16 or newer from https://helm.sh" in said


def test_tools_and_clusters_that_are_too_old_are_named(stage: Stage) -> None:
    stage.version("helm", "v3.9.4+gdbc6d8e")
    stage.version("kubectl", "v1.28.0")
    done = stage.run("apply", "--environment", "dev")
    assert "helm is v3.9.4: get 3.16 or newer" in done.stderr
    assert "kubectl is v1.28.0: get 1.32 or newer" in done.stderr
    for of, version in (("helm", "v4.0.1"), ("kubectl", "v1.35.1"), ("server", "v1.31.9-aks")):
        stage.version(of, version)
    assert "Kubernetes v1.31.9-aks: 1.32 is the least" in stage.run("apply", "--environment", "dev").stderr


def test_without_a_cluster_nothing_is_begun(stage: Stage) -> None:
    stage.version("server", "")
    done = stage.run("apply", "--environment", "dev")
    assert done.returncode == 1
    assert "no cluster answers" in done.stderr
    assert installed(stage) == []


def test_the_cluster_of_another_environment_is_refused(stage: Stage) -> None:
    stage.has("namespace/thale", metadata={"labels": {"thale/environment": "prod"}})
    done = stage.run("apply", "--environment", "laptop")
    assert done.returncode == 1
    assert "the cluster is prod's (namespace thale), not laptop's: choose another --context" in done.stderr
    assert installed(stage) == []
    stage.apply("prod")


def test_what_aks_is_to_bring_is_looked_for(stage: Stage) -> None:
    for name in BROUGHT:
        (stage.room / "objects" / name).unlink()
    done = stage.run("apply", "--environment", "staging")
    assert done.returncode == 1
    for name in BROUGHT:
        assert f"{name} is not there: " in done.stderr
    assert "terraform: workload_autoscaler_profile" in done.stderr
    stage.apply("laptop")


def test_webhooks_are_put_out_of_reach_of_aks_s_admission_enforcer(stage: Stage) -> None:
    words = ("label", "mutatingwebhookconfigurations,validatingwebhookconfigurations")
    stage.apply("laptop")
    assert not stage.calls("kubectl", *words)
    stage.apply("dev")
    (label,) = stage.calls("kubectl", *words)
    assert label.option("--selector") == "app.kubernetes.io/name=kserve"
    assert "admissions.enforcer/disabled=true" in label.words
    values = yaml.safe_load((PLATFORM / "values" / "cert-manager.yaml").read_text())["webhook"]
    for kind in ("mutating", "validating"):
        assert values[f"{kind}WebhookConfigurationAnnotations"] == {"admissions.enforcer/disabled": "true"}


def test_the_collector_gets_its_configuration_whole(stage: Stage) -> None:
    stage.apply("dev")
    (call,) = (call for call in stage.calls("helm", "upgrade") if call.words[2] == "otel-collector")
    assert "-" in call.words
    configuration = KUBERNETES.parent / "observability" / "otel" / "collector.yaml"
    assert yaml.safe_load(call.stdin) == {"alternateConfig": yaml.safe_load(configuration.read_text())}


def test_a_laptop_gets_a_volume_and_the_namespace_it_is_in(stage: Stage) -> None:
    stage.apply("laptop")
    (volume,) = (call for call in stage.calls("kubectl", "apply") if call.words[-1].endswith("manifests/store"))
    before = stage.calls("kubectl", "apply")[stage.calls("kubectl", "apply").index(volume) - 1]
    assert json.loads(before.stdin)["metadata"]["name"] == "thale"


def copy_with(room: Path, old: str, new: str) -> Path:
    """Return a copy of the installer whose table says something else."""
    copy = room / "kubernetes" / "platform"
    copy.mkdir(parents=True)
    for path in PLATFORM.glob("*.py"):
        (copy / path.name).write_text(path.read_text())
    text = (PLATFORM / "addons.toml").read_text()
    assert old in text
    (copy / "addons.toml").write_text(text.replace(old, new, 1))
    return copy


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('version = "2.18.3"', 'version = "2.18"', "keda breaks the rule that an add-on has an exact version"),
        ('version = "2.18.3"', 'version = "latest"', "keda breaks the rule that an add-on has an exact version"),
        ('version = "2.18.3"', 'version = ">=2.18.3"', "keda breaks the rule that an add-on has an exact version"),
        ('chart = "keda"', 'chart = "keda"\nmanifest = "x"', "keda breaks the rule that an add-on is either"),
        ('namespace = "keda"\n', "", "keda breaks the rule that an add-on has a chart with a namespace"),
        ('name = "keda"', 'name = "kserve"', "kserve stands there twice"),
        ('environments = ["laptop"]', 'environments = ["laptob"]', "is for environments that there are"),
        ('environments = ["laptop"]', 'environment = ["laptop"]', "is no table of add-ons"),
        ("https://kedacore", "http://kedacore", "comes encrypted"),
        ("[cluster]", "[cluster", "is no table of add-ons"),
    ],
)
def test_a_table_with_a_fault_installs_nothing(stage: Stage, old: str, new: str, fault: str) -> None:
    done = stage.run("apply", "--environment", "laptop", platform=copy_with(stage.room, old, new))
    assert done.returncode == 1
    assert fault in done.stderr
    assert not stage.calls("helm")


def test_a_file_of_values_that_is_missing_is_told_before_anything_is_installed(stage: Stage) -> None:
    platform = copy_with(stage.room, "values/keda.yaml", "values/gone.yaml")
    for folder in ("values", "manifests"):
        (platform / folder).symlink_to(PLATFORM / folder)
    (stage.room / "observability").symlink_to(KUBERNETES.parent / "observability")
    done = stage.run("apply", "--environment", "laptop", platform=platform)
    assert done.returncode == 1
    assert "values/gone.yaml cannot be read (No such file or directory)" in done.stderr
    assert installed(stage) == []
