"""Who may talk to whom, and that nobody outside may."""

from collections.abc import Iterator

import pytest

from tests.support.manifests import KUBERNETES, ON_AZURE, OVERLAYS, Manifest, of_kind, overlay, pod_labels, selects

INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"


def connections(manifests: list[Manifest], direction: str) -> set[tuple[str, str, int]]:
    """Return (from, to, port) between our pods, as the policies of one direction allow it."""
    labels = pod_labels(manifests)
    end = {"Ingress": "from", "Egress": "to"}[direction]
    found = set()
    for own, peer, port in _rules(manifests, direction, end):
        if peer.keys() != {"podSelector"}:
            continue
        for who in labels:
            for other in labels:
                if selects(own, labels[who]) and selects(peer["podSelector"], labels[other]):
                    found.add((other, who, port) if direction == "Ingress" else (who, other, port))
    return found


def _rules(manifests: list[Manifest], direction: str, end: str) -> Iterator[tuple[Manifest, Manifest, int]]:
    for policy in of_kind(manifests, "NetworkPolicy").values():
        for rule in policy["spec"].get(direction.lower(), ()):
            for peer in rule[end]:
                for port in rule["ports"]:
                    yield policy["spec"]["podSelector"], peer, port["port"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_goes_in_or_out_unless_a_policy_says_so(name: str) -> None:
    policies = of_kind(overlay(name), "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in policies.values():
        for rule in [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]:
            assert rule.get("ports"), f"{policy['metadata']['name']} opens every port"
            assert rule.get("from") or rule.get("to"), f"{policy['metadata']['name']} opens to everybody"


@pytest.mark.parametrize("name", OVERLAYS)
def test_connections_between_pods_are_these_and_open_at_both_ends(name: str) -> None:
    manifests = list(overlay(name))
    predictors = ("plate-seg", "plate-landmarks")
    expected = {(who, predictor, 8080) for who in ("facade", "release-watcher") for predictor in predictors}
    expected |= {("release-watcher", "facade", 9090)}
    assert connections(manifests, "Ingress") == expected
    assert connections(manifests, "Egress") == expected


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_pods_with_an_identity_reach_beyond_the_cluster(name: str) -> None:
    labels = pod_labels(overlay(name))
    outside = {
        who
        for own, peer, port in _rules(list(overlay(name)), "Egress", "to")
        for who in labels
        if "ipBlock" in peer and port == 443 and peer["ipBlock"]["cidr"] == "0.0.0.0/0" and selects(own, labels[who])
    }
    assert outside == (set() if name == "laptop" else {"plate-seg", "plate-landmarks", "release-watcher"})


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_metrics_of_every_pod_can_be_scraped(name: str) -> None:
    manifests = list(overlay(name))
    ports = {port for _, peer, port in _rules(manifests, "Ingress", "from") if "namespaceSelector" in peer}
    assert {9090, 9091, 8082} <= ports
    labels = pod_labels(manifests)
    for monitor, pods in (("release-watcher", {"release-watcher"}), ("predictors", {"plate-seg", "plate-landmarks"})):
        selector = of_kind(manifests, "PodMonitor")[monitor]["spec"]["selector"]
        assert {who for who in labels if selects(selector, labels[who])} == pods
    selector = of_kind(manifests, "ServiceMonitor")["facade"]["spec"]["selector"]
    services = of_kind(manifests, "Service")
    (scraped,) = (who for who, service in services.items() if selects(selector, service["metadata"]["labels"]))
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
def test_on_azure_the_gateway_has_an_address_of_the_virtual_network(name: str) -> None:
    proxy = of_kind(overlay(name), "EnvoyProxy")["thale"]["spec"]["provider"]["kubernetes"]["envoyService"]
    assert proxy["type"] == "LoadBalancer"
    assert proxy["annotations"][f"{INTERNAL}-subnet"] == "snet-nodes"
    link = proxy["annotations"]["service.beta.kubernetes.io/azure-pls-name"]
    assert f'/privateLinkServices/{link}"' in (KUBERNETES.parent / "terraform" / "azure" / "edge.tf").read_text()


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_way_in_is_encrypted_and_limited(name: str) -> None:
    manifests = overlay(name)
    for listener in of_kind(manifests, "Gateway")["thale"]["spec"]["listeners"]:
        assert (listener["protocol"], listener["tls"]["mode"]) == ("HTTPS", "Terminate")
        (secret,) = listener["tls"]["certificateRefs"]
        assert secret["name"] == of_kind(manifests, "Certificate")["gateway"]["spec"]["secretName"]
    limits = of_kind(manifests, "BackendTrafficPolicy")["facade"]["spec"]
    assert limits["targetRefs"][0]["name"] in of_kind(manifests, "HTTPRoute")
    assert limits["rateLimit"]["local"]["rules"]
    assert of_kind(manifests, "ClientTrafficPolicy")["thale"]["spec"]["targetRefs"][0]["name"] == "thale"


def test_metrics_are_not_behind_the_gateway() -> None:
    (rule,) = of_kind(overlay("aks-prod"), "HTTPRoute")["facade"]["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "facade", "port": 80}]
    paths = [(match["path"]["type"], match["path"]["value"]) for match in rule["matches"]]
    assert ("PathPrefix", "/") not in paths
    assert not any(value.startswith("/metrics") for _, value in paths)
