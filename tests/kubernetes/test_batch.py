"""The component batch: objects that Dask's operator accepts, hardened pods, TLS, spot nodes, and network policies."""

import copy
import functools
import re
import tempfile
from pathlib import Path
from typing import Any

import dask.config
import pytest
import yaml
from distributed import Security
from distributed.cli.dask_scheduler import main as dask_scheduler
from distributed.cli.dask_worker import main as dask_worker

from tests.support.manifests import KUBERNETES, Manifest, build, of_kind, selects
from tests.support.pod_rules import rule_violations
from tests.support.strict_schemas import load_optional_schemas, schema_faults
from thale_models.batch.settings import BatchSettings

DATABASE = "postgresql://id-thale-prod-facade@psql-example.postgres.database.azure.com:5432/thale"
BLOBS = "https://stexample.blob.core.windows.net/experiments"
README = KUBERNETES.parent / "tests" / "kubernetes" / "schemas" / "README.md"


@functools.cache
def manifests() -> list[Manifest]:
    """Return the objects of aks-prod with the component. They are shared: do not change them."""
    with tempfile.TemporaryDirectory() as temp_dir:
        folder = Path(temp_dir) / "overlays" / "aks-prod"
        for source in KUBERNETES.rglob("*.yaml"):
            copied = Path(temp_dir) / source.relative_to(KUBERNETES)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(source.read_bytes())
        with (folder / "facts.yaml").open("a") as facts:
            facts.write(f"  experiments_database_url: {DATABASE}\n  experiments_blob_url: {BLOBS}\n")
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        kustomization["components"] += ["../../components/azure-experiments", "../../components/batch"]
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return build(folder)


def cluster() -> Manifest:
    return of_kind(manifests(), "DaskCluster")["batch"]


def pods() -> dict[str, tuple[dict[str, str], Manifest]]:
    """Return labels and spec of the pods, as the operator creates them."""
    own = {"dask.org/cluster-name": "batch", **cluster()["metadata"]["labels"]}
    template = of_kind(manifests(), "Deployment")["batch-client"]["spec"]["template"]
    return {
        "scheduler": ({**own, "dask.org/component": "scheduler"}, cluster()["spec"]["scheduler"]["spec"]),
        "worker": ({**own, "dask.org/component": "worker"}, cluster()["spec"]["worker"]["spec"]),
        "client": (template["metadata"]["labels"], template["spec"]),
    }


def environment_of(role: str) -> dict[str, str]:
    (container,) = pods()[role][1]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_objects_match_the_schemas() -> None:
    faults = {(each["kind"], each["metadata"]["name"]): schema_faults(each) for each in manifests()}
    assert not {key: found for key, found in faults.items() if found}
    assert of_kind(manifests(), "DaskAutoscaler")["batch"]["spec"]["cluster"] == cluster()["metadata"]["name"]


def test_schemas_name_their_version() -> None:
    (version,) = load_optional_schemas()["versions"].values()
    assert re.search(rf"`dask-kubernetes-operator` {re.escape(version)} ", README.read_text())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("worker.replica", 2),
        ("worker.replicas", "two"),
        ("worker.spec.toleration", []),
        ("scheduler.service.ports", {}),
        ("scheduler.spec.containers.0.securitycontext", {}),
    ],
)
def test_careless_edit_of_the_cluster_is_a_fault(path: str, value: object) -> None:
    changed = copy.deepcopy(cluster())
    *parents, field = path.split(".")
    node: Any = changed["spec"]
    for parent in parents:
        node = node[int(parent) if parent.isdigit() else parent]
    node[field] = value
    assert schema_faults(changed)


@pytest.mark.parametrize("role", ["scheduler", "worker", "client"])
def test_pods_are_hardened(role: str) -> None:
    _, pod = pods()[role]
    (container,) = pod["containers"]
    assert rule_violations(pod, container) == []
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("batch", False)
    account = of_kind(manifests(), "ServiceAccount")["batch"]
    assert account["metadata"]["annotations"]["azure.workload.identity/client-id"]


@pytest.mark.parametrize("role", ["scheduler", "worker", "client"])
def test_processes_connect_by_tls_only(role: str) -> None:
    configuration = dask.config.collect_env(environment_of(role))
    with dask.config.set(dask.config.merge(dask.config.config, configuration)):
        security = Security()
        assert security.require_encryption
        files = security.get_tls_config_for_role(role)
    mounted = {"ca_file": "/etc/dask/ca.crt", "cert": "/etc/dask/tls.crt", "key": "/etc/dask/tls.key"}
    assert mounted.items() <= files.items()
    _, pod = pods()[role]
    secrets = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
    assert secrets == {of_kind(manifests(), "Certificate")["batch"]["spec"]["secretName"]}


def test_authority_signs_certificates_of_the_cluster_only() -> None:
    issuers = {name: each["spec"].get("ca") for name, each in of_kind(manifests(), "Issuer").items()}
    users = [
        name
        for name, each in of_kind(manifests(), "Certificate").items()
        if issuers[each["spec"]["issuerRef"]["name"]] == {"secretName": "batch-authority"}
    ]
    assert users == ["batch"]


def test_commands_are_valid_for_dask() -> None:
    (scheduler,) = pods()["scheduler"][1]["containers"]
    options = dask_scheduler.make_context("scheduler", list(scheduler["command"][2:])).params
    assert options["preload_argv"] == (), "an unknown option"
    assert (options["port"], options["protocol"], options["dashboard_address"]) == ("8786", "tls", ":8787")
    (worker,) = pods()["worker"][1]["containers"]
    assert worker["command"][:2] == ["dask", "worker"]
    options = dask_worker.make_context("worker", [*worker["command"][2:], *worker["args"]]).params
    assert (options["n_workers"], options["nthreads"], options["protocol"]) == ("1", 1, "tls")
    assert options["preload_argv"] == (), "an unknown option"
    ports = {port["name"]: port["containerPort"] for port in worker["ports"]}
    assert (options["worker_port"], options["nanny_port"]) == (str(ports["comm"]), str(ports["nanny"]))
    assert options["dashboard_address"] == f":{ports['http']}"
    service = cluster()["spec"]["scheduler"]["service"]
    assert environment_of("worker")["DASK_SCHEDULER_ADDRESS"].endswith(f":{service['ports'][0]['port']}")


def test_workers_tolerate_spot_nodes_and_the_scheduler_does_not() -> None:
    taint = re.search(
        r'spot_taint = "(.+)=(.+):(.+)"', (KUBERNETES.parent / "terraform/modules/gpu-pool/main.tf").read_text()
    )
    assert taint is not None
    (toleration,) = pods()["worker"][1]["tolerations"]
    assert (toleration["key"], toleration["value"], toleration["effect"]) == taint.groups()
    assert pods()["worker"][1]["nodeSelector"] == {"thale/purpose": "batch"}
    assert not {"tolerations", "nodeSelector"} & pods()["scheduler"][1].keys()


def test_connections_are_allowed_at_both_ends() -> None:
    expected = {
        ("worker", "scheduler", 8786),
        ("client", "scheduler", 8786),
        ("scheduler", "worker", 9000),
        ("scheduler", "worker", 9001),
    }
    assert _connections("ingress", "from") == expected
    assert _connections("egress", "to") == expected


def _connections(direction: str, end: str) -> set[tuple[str, str, int]]:
    found = set()
    for policy in of_kind(manifests(), "NetworkPolicy").values():
        for rule in policy["spec"].get(direction, ()):
            for peer in rule[end]:
                for own, (labels, _) in pods().items():
                    for other, (other_labels, _) in pods().items():
                        if (
                            "podSelector" in peer
                            and "namespaceSelector" not in peer
                            and selects(policy["spec"]["podSelector"], labels)
                            and selects(peer["podSelector"], other_labels)
                        ):
                            pair = (other, own) if direction == "ingress" else (own, other)
                            found |= {(*pair, port["port"]) for port in rule["ports"]}
    return found


def test_workers_and_clients_reach_the_database() -> None:
    policies = {name: each["spec"] for name, each in of_kind(manifests(), "NetworkPolicy").items()}
    private = policies["identity-to-azure"]["egress"][0]["to"]
    for role in ("worker", "client"):
        labels, _ = pods()[role]
        policy = policies[f"batch-{role}-to-database"]
        assert selects(policy["podSelector"], labels)
        assert policy["egress"] == [{"to": private, "ports": [{"port": 5432}]}]
        assert selects(policies["identity-to-azure"]["podSelector"], labels)


def test_client_opens_the_store_by_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of("client").items():
        monkeypatch.setenv(name, value)
    settings = BatchSettings()
    assert (settings.experiments_database_url, settings.experiments_blob_url) == (DATABASE, BLOBS)
    assert settings.experiments_database_entra
    assert settings.experiments_database_password_path is None
    (worker,) = pods()["worker"][1]["containers"]
    (client,) = pods()["client"][1]["containers"]
    mounts = [{each["name"]: each["mountPath"] for each in role["volumeMounts"]}["data"] for role in (worker, client)]
    assert mounts == [environment_of("client")["THALE_HOME"]] * 2, "workers read the archives at the client's path"
