"""Network policies and the gateway: allowed connections between pods, and no public address."""

from collections.abc import Iterator

import pytest
import yaml

from tests.support.manifests import KUBERNETES, ON_AZURE, OVERLAYS, Manifest, of_kind, overlay, pod_labels, selects

INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"


def connections(manifests: list[Manifest], direction: str) -> set[tuple[str, str, int]]:
    """Return (source, target, port) of the connections between pods that policies of one direction allow."""
    labels = pod_labels(manifests)
    end = {"Ingress": "from", "Egress": "to"}[direction]
    found = set()
    for own, peer, port in _rules(manifests, direction, end):
        if peer.keys() != {"podSelector"}:
            continue
        for pod in labels:
            for other in labels:
                if selects(own, labels[pod]) and selects(peer["podSelector"], labels[other]):
                    found.add((other, pod, port) if direction == "Ingress" else (pod, other, port))
    return found


def _rules(manifests: list[Manifest], direction: str, end: str) -> Iterator[tuple[Manifest, Manifest, int]]:
    for policy in of_kind(manifests, "NetworkPolicy").values():
        for rule in policy["spec"].get(direction.lower(), ()):
            for peer in rule[end]:
                for port in rule["ports"]:
                    yield policy["spec"]["podSelector"], peer, port["port"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_traffic_is_denied_by_default(name: str) -> None:
    policies = of_kind(overlay(name), "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in policies.values():
        for rule in [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]:
            assert rule.get("ports"), f"{policy['metadata']['name']} allows every port"
            assert rule.get("from") or rule.get("to"), f"{policy['metadata']['name']} allows every peer"


@pytest.mark.parametrize("name", OVERLAYS)
def test_pod_connections_are_allowed_at_both_ends(name: str) -> None:
    manifests = list(overlay(name))
    predictors = ("plate-seg", "plate-landmarks")
    expected = {(source, predictor, 8080) for source in ("facade", "release-watcher") for predictor in predictors}
    expected |= {("release-watcher", "facade", 9090), ("facade", "limit-store", 6379)}
    assert connections(manifests, "Ingress") == expected
    assert connections(manifests, "Egress") == expected


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_pods_with_identity_have_external_egress(name: str) -> None:
    labels = pod_labels(overlay(name))
    outside = {
        pod
        for own, peer, port in _rules(list(overlay(name)), "Egress", "to")
        for pod in labels
        if "ipBlock" in peer and port == 443 and peer["ipBlock"]["cidr"] == "0.0.0.0/0" and selects(own, labels[pod])
    }
    assert outside == (set() if name == "laptop" else {"facade", "plate-seg", "plate-landmarks", "release-watcher"})


@pytest.mark.parametrize("name", OVERLAYS)
def test_api_server_is_reached_at_the_port_of_the_facts(name: str) -> None:
    facts = yaml.safe_load((KUBERNETES / "overlays" / name / "facts.yaml").read_text())["data"]
    (rule,) = of_kind(overlay(name), "NetworkPolicy")["to-api-server"]["spec"]["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": facts["api_server_range"]}}]
    assert rule["ports"] == [{"port": int(facts["api_server_port"])}]


@pytest.mark.parametrize("name", OVERLAYS)
def test_prometheus_can_scrape_each_pod(name: str) -> None:
    manifests = list(overlay(name))
    ports = {port for _, peer, port in _rules(manifests, "Ingress", "from") if "namespaceSelector" in peer}
    assert {9090, 9091, 8082} <= ports
    labels = pod_labels(manifests)
    for monitor, pods in (("release-watcher", {"release-watcher"}), ("predictors", {"plate-seg", "plate-landmarks"})):
        selector = of_kind(manifests, "PodMonitor")[monitor]["spec"]["selector"]
        assert {pod for pod in labels if selects(selector, labels[pod])} == pods
    selector = of_kind(manifests, "ServiceMonitor")["facade"]["spec"]["selector"]
    services = of_kind(manifests, "Service")
    (scraped,) = (
        service_name for service_name, service in services.items() if selects(selector, service["metadata"]["labels"])
    )
    assert selects({"matchLabels": services[scraped]["spec"]["selector"]}, labels["facade"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_address_is_public(name: str) -> None:
    manifests = overlay(name)
    for service in of_kind(manifests, "Service").values():
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"
        assert "externalIPs" not in service["spec"]
    assert not {"Ingress", "TCPRoute", "TLSRoute"} & {found["kind"] for found in manifests}
    gateways = of_kind(manifests, "Gateway")
    proxies = of_kind(manifests, "EnvoyProxy")
    for gateway in gateways.values():
        proxy = proxies[gateway["spec"]["infrastructure"]["parametersRef"]["name"]]
        service = proxy["spec"]["provider"]["kubernetes"]["envoyService"]
        if service["type"] != "ClusterIP":
            assert service["type"] == "LoadBalancer"
            assert service["annotations"][INTERNAL] == "true"
        assert "addresses" not in gateway["spec"]
        assert "azure-pip-name" not in str(service)
    assert gateways.keys() == {"thale"}


@pytest.mark.parametrize("name", ON_AZURE)
def test_azure_gateway_has_internal_address(name: str) -> None:
    proxy = of_kind(overlay(name), "EnvoyProxy")["thale"]["spec"]["provider"]["kubernetes"]["envoyService"]
    assert proxy["type"] == "LoadBalancer"
    assert proxy["annotations"][f"{INTERNAL}-subnet"] == "snet-nodes"
    link = proxy["annotations"]["service.beta.kubernetes.io/azure-pls-name"]
    assert f'/privateLinkServices/{link}"' in (KUBERNETES.parent / "terraform" / "azure" / "edge.tf").read_text()


@pytest.mark.parametrize("name", OVERLAYS)
def test_gateway_uses_tls_and_rate_limits(name: str) -> None:
    manifests = overlay(name)
    for listener in of_kind(manifests, "Gateway")["thale"]["spec"]["listeners"]:
        assert (listener["protocol"], listener["tls"]["mode"]) == ("HTTPS", "Terminate")
        (secret,) = listener["tls"]["certificateRefs"]
        assert secret["name"] == of_kind(manifests, "Certificate")["gateway"]["spec"]["secretName"]
    limits = of_kind(manifests, "BackendTrafficPolicy")["facade"]["spec"]
    assert limits["targetRefs"][0]["name"] in of_kind(manifests, "HTTPRoute")
    assert limits["rateLimit"]["local"]["rules"]
    clients = of_kind(manifests, "ClientTrafficPolicy")["thale"]["spec"]
    assert clients["targetRefs"][0]["name"] == "thale"
    assert clients["tls"] == {"minVersion": "1.3"}


def test_gateway_does_not_route_metrics() -> None:
    rules = of_kind(overlay("aks-prod"), "HTTPRoute")["facade"]["spec"]["rules"]
    assert all(rule["backendRefs"] == [{"name": "facade", "port": 80}] for rule in rules)
    paths = [(match["path"]["type"], match["path"]["value"]) for rule in rules for match in rule["matches"]]
    assert ("PathPrefix", "/") not in paths
    assert not any(value.startswith("/metrics") for _, value in paths)
