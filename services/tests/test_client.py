"""Tests of the client: parsed responses, errors from problem documents, and retries."""

import io
import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thale
from tests.support import sample_phenotypes
from tests.support.local_platform import PlatformProcess
from thale import errors
from thale.batch.results import read_result
from thale.schemas import Problem


def png(width: int = 160, height: int = 120) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(80, 99, (height, width, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def client(platform: PlatformProcess) -> Iterator[thale.Client]:
    with thale.Client(platform.url) as client:
        yield client


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    path = tmp_path / "Teller 1 & ä.png"
    path.write_bytes(png())
    return path


@pytest.mark.integration
def test_phenotype_of_path_has_name_and_given_scale(client: thale.Client, plate: Path) -> None:
    phenotype = client.phenotype(plate, mm_per_px=0.25, expected_plants=2, experiment="salt")
    assert isinstance(phenotype, thale.Phenotype)
    assert (phenotype.image.name, phenotype.image.width, phenotype.image.height) == (plate.name, 160, 120)
    assert (phenotype.scale.mm_per_px, phenotype.scale.source) == (0.25, "given")
    assert client.phenotype(str(plate), mm_per_px=0.25, name="x").image.name == "x"
    assert client.phenotype(plate.read_bytes(), mm_per_px=0.25).image.sha256 == phenotype.image.sha256


@pytest.mark.integration
def test_client_returns_each_export(client: thale.Client, plate: Path) -> None:
    assert client.overlay(plate, mm_per_px=0.25).startswith(b"\x89PNG")
    assert b"<rsml" in client.rsml(plate, mm_per_px=0.25)
    assert set(json.loads(client.plantcv(plate, mm_per_px=0.25))) == {"entities", "variables"}
    assert client.csv(plate, mm_per_px=0.25).startswith("image,sha256,level")
    assert client.csv(plate, mm_per_px=0.25, table="wide").startswith("image,sha256,plate,plant")


@pytest.mark.integration
def test_client_requests_single_models(client: thale.Client, plate: Path) -> None:
    assert client.segment(plate, mm_per_px=0.25).meta.model.name == "plate-seg"
    assert client.landmarks(plate, mm_per_px=0.25).model.name == "plate-landmarks"


@pytest.mark.integration
def test_models_lists_ready_versions(client: thale.Client) -> None:
    assert client.is_ready()
    assert {model.name: model.versions[0].state for model in client.models()} == {
        "plate-seg": "ready",
        "plate-landmarks": "ready",
    }


@pytest.mark.integration
@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client: client.phenotype(b""), errors.EmptyImageError),
        (lambda client: client.phenotype(b"some text"), errors.UnsupportedImageError),
        (lambda client: client.phenotype(png()[:300]), errors.DamagedImageError),
        (lambda client: client.phenotype(png(1, 1)), errors.ImageTooSmallError),
        (lambda client: client.phenotype(png(), mm_per_px=-1), errors.ThaleError),
        (lambda client: client.phenotype(png(), mm_per_px=1e9), errors.ScaleError),
        (lambda client: client.phenotype(png(), model="missing"), errors.UnknownModelError),
        (lambda client: client.phenotype(png(), model="plate-seg@9.9.9"), errors.UnknownVersionError),
        (lambda client: client.segment(png(), model="plate-landmarks"), errors.WrongTaskError),
    ],
)
def test_problem_is_raised_as_its_error_class(
    client: thale.Client, call: Callable[[thale.Client], object], error: type[thale.ThaleError]
) -> None:
    with pytest.raises(error) as raised:
        call(client)
    assert str(raised.value)
    assert raised.value.request_id


@pytest.mark.integration
def test_missing_file_raises_file_not_found_error(client: thale.Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.phenotype(tmp_path / "gone.png")


def test_unreachable_server_error_names_thale_up() -> None:
    with thale.Client("http://127.0.0.1:9", retries=0) as client:
        assert not client.is_ready()
        with pytest.raises(errors.ServerUnreachableError, match="thale up"):
            client.models()


class ScriptedHandler(BaseHTTPRequestHandler):
    """Returns the scripted responses in order, and records the request bodies."""

    responses: list[tuple[int, dict[str, str], bytes]]
    bodies: list[bytes]
    credentials: list[str | None]

    def do_POST(self) -> None:
        self.credentials.append(self.headers["Authorization"])
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        status, headers, body = self.responses.pop(0)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def scripted() -> Iterator[tuple[type[ScriptedHandler], str]]:
    handler = type("Script", (ScriptedHandler,), {"responses": [], "bodies": [], "credentials": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield handler, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def problem_json(kind: str, status: int) -> bytes:
    document = Problem(type=f"/problems/{kind}", title="x", status=status, detail="the detail", request_id="r1")
    return document.model_dump_json().encode()


def test_client_ignores_unknown_fields_of_a_newer_server(
    scripted: tuple[type[ScriptedHandler], str], plate: Path, tmp_path: Path
) -> None:
    document = sample_phenotypes.phenotype(sample_phenotypes.seedling()).model_dump_json()
    newer = json.loads(document, object_hook=lambda fields: {**fields, "added_in_a_later_version": {"a": [1]}})
    handler, url = scripted
    handler.responses += [(200, {}, json.dumps(newer).encode())]
    with thale.Client(url) as client:
        assert client.phenotype(plate).model_dump_json() == document
    (tmp_path / "plate.json").write_text(json.dumps(newer))
    assert read_result(tmp_path, "plate").model_dump_json() == document


def test_client_retries_overloaded_server_with_whole_body(
    scripted: tuple[type[ScriptedHandler], str], plate: Path
) -> None:
    handler, url = scripted
    handler.responses += [(503, {"Retry-After": "0"}, b""), (429, {}, b""), (200, {}, b"table")]
    with thale.Client(url) as client:
        assert client.csv(plate) == "table"
    assert handler.bodies == [plate.read_bytes()] * 3


def test_client_raises_limit_of_the_day_without_a_wait(
    scripted: tuple[type[ScriptedHandler], str], plate: Path
) -> None:
    handler, url = scripted
    handler.responses += [(429, {"Retry-After": "40000"}, problem_json("rate-limited", 429))]
    with thale.Client(url) as client, pytest.raises(errors.RateLimitedError, match="the detail"):
        client.csv(plate)
    assert len(handler.bodies) == 1


def test_client_waits_for_retry_after_of_a_limit(
    scripted: tuple[type[ScriptedHandler], str], plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    handler, url = scripted
    handler.responses += [(429, {"Retry-After": "7"}, problem_json("rate-limited", 429)), (200, {}, b"table")]
    with thale.Client(url) as client:
        assert client.csv(plate) == "table"
    assert waits == [7]


def test_client_raises_problem_after_last_retry(scripted: tuple[type[ScriptedHandler], str], plate: Path) -> None:
    handler, url = scripted
    handler.responses += [(503, {"Retry-After": "0"}, problem_json("model-unavailable", 503))] * 2
    with (
        thale.Client(url, retries=1) as client,
        pytest.raises(errors.ModelUnavailableError, match="the detail") as raised,
    ):
        client.csv(plate)
    assert raised.value.request_id == "r1"


@pytest.mark.parametrize("body", [b"<html>a proxy's page</html>", problem_json("from-the-future", 400)])
def test_unknown_response_raises_unexpected_response_error(
    scripted: tuple[type[ScriptedHandler], str], body: bytes
) -> None:
    handler, url = scripted
    handler.responses += [(400, {}, body)]
    with thale.Client(url) as client, pytest.raises(errors.UnexpectedResponseError):
        client.csv(b"x")
    handler.responses += [(200, {}, b"{}")]
    with thale.Client(url) as client, pytest.raises(errors.UnexpectedResponseError):
        client.phenotype(b"x")


@pytest.mark.parametrize(
    ("variable", "argument", "expected"),
    [
        (None, None, None),
        ("", None, None),
        ("from-environment\n", None, "Bearer from-environment"),
        ("from-environment", "argument", "Bearer argument"),
        ("from-environment", "", None),
    ],
)
def test_client_sends_credential_of_argument_or_environment(
    scripted: tuple[type[ScriptedHandler], str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    argument: str | None,
    expected: str | None,
) -> None:
    monkeypatch.delenv("THALE_API_KEY", raising=False)
    if variable is not None:
        monkeypatch.setenv("THALE_API_KEY", variable)
    handler, url = scripted
    handler.responses += [(200, {}, b"table")]
    with thale.Client(url, api_key=argument) as client:
        client.csv(b"x")
    assert handler.credentials == [expected]


def test_client_sends_no_credential_to_a_redirect_target(scripted: tuple[type[ScriptedHandler], str]) -> None:
    handler, url = scripted
    handler.responses += [(307, {"Location": f"{url.replace('127.0.0.1', 'localhost')}/stolen"}, b"")]
    with thale.Client(url, api_key="secret-key") as client, pytest.raises(errors.ThaleError) as raised:
        client.csv(b"x")
    assert len(handler.credentials) == 1
    assert "secret-key" not in f"{raised.value!r} {client!r} {vars(raised.value)}"


@pytest.mark.parametrize("key", ["two\nlines", "k\u00e9y", "a\r\nX-Injected: 1"])
def test_client_rejects_credential_that_is_no_header(key: str) -> None:
    with pytest.raises(errors.ParameterError, match="THALE_API_KEY") as raised:
        thale.Client(api_key=key)
    assert key not in str(raised.value)


def test_client_raises_the_missing_credential(scripted: tuple[type[ScriptedHandler], str]) -> None:
    handler, url = scripted
    handler.responses += [(401, {}, problem_json("unauthenticated", 401)), (403, {}, problem_json("forbidden", 403))]
    with thale.Client(url) as client:
        with pytest.raises(errors.UnauthenticatedError, match="the detail"):
            client.csv(b"x")
        with pytest.raises(errors.ForbiddenError, match="the detail"):
            client.csv(b"x")


@pytest.mark.slow
def test_import_thale_does_not_import_heavy_packages() -> None:
    program = "import sys, thale; sys.exit(any(name in sys.modules for name in ('numpy', 'pydantic', 'urllib3')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    program = "import sys, thale; thale.Client; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_client_warns_when_key_is_sent_without_encryption() -> None:
    with pytest.warns(UserWarning, match="without encryption: use the server's https address"):
        thale.Client("http://thale.example.org", api_key="key")


@pytest.mark.parametrize(
    ("url", "key"),
    [("https://thale.example.org", "key"), ("http://127.0.0.1:8080", "key"), ("http://thale.example.org", "")],
)
def test_client_does_not_warn_about_safe_addresses(url: str, key: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        thale.Client(url, api_key=key)


def test_client_names_the_extra_when_numpy_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "thale.models.predictions", raising=False)
    monkeypatch.setitem(sys.modules, "thale.models.predictions", None)
    monkeypatch.setattr("thale.client.describe_missing_package", lambda error: f"missing: {error.name}")
    with thale.Client("http://127.0.0.1:9") as client, pytest.raises(thale.ThaleError, match=r"missing: thale\.models"):
        client.segment(b"")
