"""Tests of the model stores: a folder, and a container in Azurite."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from tests.support.azurite_server import Azurite, FakeCredential, run_azurite
from tests.support.hostile_archives import OTHER_SPELLINGS_OF_A_VERSION
from tests.support.tiny_models import write_tiny_model
from thale.errors import ArchiveError, StoreError, UnknownModelError, UnknownVersionError, VersionExistsError
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.signatures import Signature
from thale.release.registry.stores import FolderStore, ModelStore, StoreResult, open_store
from thale.release.registry.stores.blob import BlobStore
from thale.release.registry.stores.model_store import MANIFEST_FILE, archive_key
from thale_models.archive import write_archive

MakeArchive = Callable[..., Path]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with run_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture(params=["folder", pytest.param("blob", marks=pytest.mark.integration)])
def open_store_again(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ModelStore]:
    """Return a function that opens the same store, as another process would."""
    if request.param == "folder":
        return lambda: FolderStore(tmp_path / "store")
    azurite: Azurite = request.getfixturevalue("azurite")
    url = azurite.container(f"test-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}")
    return lambda: BlobStore.from_url(url, FakeCredential(), certificates=azurite.certificate)


@pytest.fixture
def store(open_store_again: Callable[[], ModelStore]) -> ModelStore:
    return open_store_again()


@pytest.fixture
def make_archive(tmp_path: Path) -> MakeArchive:
    def make(version: str = "1.0.0", seed: int = 0, name: str = "tiny-seg") -> Path:
        folder = tmp_path / f"{name}-{version}-{seed}"
        model = write_tiny_model(folder, "segmentation", seed, name=name, version=version)
        return write_archive(model.weights, model.card, folder)

    return make


def test_store_finds_and_fetches_registered_version(
    store: ModelStore, make_archive: MakeArchive, tmp_path: Path
) -> None:
    path = make_archive()
    result = store.put(path)
    assert result.new
    assert result.version == validate_archive(path).version_manifest
    assert store.find("tiny-seg", "1.0.0") == result.version
    fetched = store.fetch("tiny-seg", "1.0.0", tmp_path / "here")
    assert fetched.name == "tiny-seg-1.0.0.mar"
    assert fetched.read_bytes() == path.read_bytes()
    assert store.fetch("tiny-seg", "1.0.0", tmp_path / "here") == fetched
    assert [file.name for file in fetched.parent.iterdir()] == [fetched.name]


def test_fetch_replaces_incomplete_copy(store: ModelStore, make_archive: MakeArchive, tmp_path: Path) -> None:
    path = make_archive()
    store.put(path)
    (tmp_path / "here").mkdir()
    for name in ("tiny-seg-1.0.0.mar", ".tiny-seg-1.0.0.mar.part"):
        (tmp_path / "here" / name).write_bytes(path.read_bytes()[:1000])
    assert store.fetch("tiny-seg", "1.0.0", tmp_path / "here").read_bytes() == path.read_bytes()


def test_put_of_same_bytes_changes_nothing(
    open_store_again: Callable[[], ModelStore], make_archive: MakeArchive
) -> None:
    first = open_store_again().put(make_archive())
    second = open_store_again().put(make_archive())
    assert (second.version, second.uri, second.new) == (first.version, first.uri, False)


def test_put_rejects_same_version_with_other_bytes(store: ModelStore, make_archive: MakeArchive) -> None:
    first = store.put(make_archive()).version
    with pytest.raises(VersionExistsError, match="give the model a new version"):
        store.put(make_archive(seed=1))
    assert store.find("tiny-seg", "1.0.0") == first


def test_put_stores_digest_and_signatures_of_a_version(
    open_store_again: Callable[[], ModelStore], make_archive: MakeArchive
) -> None:
    store, path = open_store_again(), make_archive()
    first, second = Signature("0" * 16, b"Zmlyc3Q="), Signature("1" * 16, b"c2Vjb25k")
    version = store.put(path).version
    assert store.signatures(version) == {}
    assert store.put(path, first).new is False
    open_store_again().put(path, second)
    store.put(path, Signature("0" * 16, b"b3RoZXI="))  # a signature is never replaced
    assert open_store_again().signatures(version) == {first.key_id: first.value, second.key_id: second.value}
    assert store.signatures(store.put(make_archive("1.0.1"), first).version) == {first.key_id: first.value}
    assert [other.card.version for other in store.versions()] == ["1.0.0", "1.0.1"]


def test_versions_are_sorted_by_model_and_number(store: ModelStore, make_archive: MakeArchive) -> None:
    assert store.versions() == []
    for version in ("1.10.0", "1.9.0"):
        store.put(make_archive(version))
    store.put(make_archive(name="a-model"))
    versions = [(manifest.card.name, manifest.card.version) for manifest in store.versions()]
    assert versions == [("a-model", "1.0.0"), ("tiny-seg", "1.9.0"), ("tiny-seg", "1.10.0")]
    assert [manifest.card.version for manifest in store.versions("tiny-seg")] == ["1.9.0", "1.10.0"]


def test_error_of_missing_version_lists_known_versions(
    store: ModelStore, make_archive: MakeArchive, tmp_path: Path
) -> None:
    with pytest.raises(UnknownModelError, match="none"):
        store.find("tiny-seg", "1.0.0")
    store.put(make_archive())
    with pytest.raises(UnknownVersionError, match=r"1\.0\.0"):
        store.fetch("tiny-seg", "2.0.0", tmp_path)
    for name in ("..", "../store/tiny-seg", "Tiny", "", "tiny-seg/1.0.0"):
        with pytest.raises(UnknownModelError):
            store.find(name, "1.0.0")
    for version in ("../1.0.0", *OTHER_SPELLINGS_OF_A_VERSION):
        with pytest.raises(UnknownVersionError):
            store.uri("tiny-seg", version)


def test_archive_key_has_layout_of_kserve(store: ModelStore, make_archive: MakeArchive) -> None:
    result = store.put(make_archive())
    digest = result.version.digest.removeprefix("sha256:")
    assert store.uri("tiny-seg", "1.0.0") == result.uri
    assert result.uri.endswith(f"/tiny-seg/1.0.0/{digest[:12]}")
    assert archive_key(result.version) == f"tiny-seg/1.0.0/{digest[:12]}/model-store/tiny-seg-1.0.0.mar"


def test_put_rejects_invalid_archive(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "broken.mar").write_bytes(b"PK")
    with pytest.raises(ArchiveError):
        store.put(tmp_path / "broken.mar")
    assert store.versions() == []


def test_one_of_concurrent_registrations_succeeds(
    open_store_again: Callable[[], ModelStore], make_archive: MakeArchive
) -> None:
    paths = [make_archive(seed=seed) for seed in range(3)] * 2

    def put(path: Path) -> StoreResult | VersionExistsError:
        try:
            return open_store_again().put(path)
        except VersionExistsError as error:
            return error

    with ThreadPoolExecutor(len(paths)) as pool:
        results = list(pool.map(put, paths))
    successes = [result for result in results if isinstance(result, StoreResult)]
    assert len(results) - len(successes) == 4
    manifest = open_store_again().find("tiny-seg", "1.0.0")
    assert all(result.version == manifest for result in successes)
    assert [result.new for result in successes].count(True) == 1


def test_interrupted_registration_has_no_effect(
    open_store_again: Callable[[], ModelStore], make_archive: MakeArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store_again()
    monkeypatch.setattr(store, "create_object", lambda name, data: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.put(make_archive())
    with pytest.raises(UnknownModelError):
        open_store_again().find("tiny-seg", "1.0.0")
    assert open_store_again().put(make_archive(seed=1)).new
    with pytest.raises(VersionExistsError):
        open_store_again().put(make_archive())


def test_folder_store_writes_read_only_files(tmp_path: Path, make_archive: MakeArchive) -> None:
    store = FolderStore(tmp_path / "store")
    manifest = store.put(make_archive()).version
    path = store.archive(manifest)
    assert path.stat().st_mode & 0o777 == 0o444
    assert (tmp_path / "store" / "tiny-seg" / "1.0.0" / MANIFEST_FILE).stat().st_mode & 0o777 == 0o444
    assert not list((tmp_path / "store").rglob(".*"))
    path.unlink()
    with pytest.raises(StoreError, match="register tiny-seg"):
        store.archive(manifest)
    with pytest.raises(StoreError):
        store.fetch("tiny-seg", "1.0.0", tmp_path)


def test_folder_store_detects_damage(tmp_path: Path, make_archive: MakeArchive) -> None:
    store = FolderStore(tmp_path / "store")
    path = store.archive(store.put(make_archive()).version)
    path.chmod(0o644)
    path.write_bytes(b"other")
    with pytest.raises(StoreError, match=r"sha256:.* was registered"):
        store.fetch("tiny-seg", "1.0.0", tmp_path / "here")
    assert not list((tmp_path / "here").iterdir())
    manifest_path = tmp_path / "store" / "tiny-seg" / "1.0.0" / MANIFEST_FILE
    manifest_path.unlink()
    with pytest.raises(StoreError, match="do not match its digest"):
        store.put(make_archive())
    manifest_path.write_text("{")
    with pytest.raises(StoreError, match=r"release\.json in the model store is not a valid version manifest"):
        store.find("tiny-seg", "1.0.0")


def test_folder_store_reports_unusable_folder(tmp_path: Path, make_archive: MakeArchive) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="use another folder"):
        FolderStore(tmp_path / "file").put(make_archive())


@pytest.mark.integration
def test_blob_store_writes_digest_and_checksum(azurite: Azurite, make_archive: MakeArchive) -> None:
    url = azurite.container("digests")
    result = BlobStore.from_url(url, FakeCredential(), certificates=azurite.certificate).put(path := make_archive())
    with ContainerClient.from_container_url(
        url, FakeCredential(), connection_verify=str(azurite.certificate)
    ) as container:
        properties = container.get_blob_client(archive_key(result.version)).get_blob_properties()
    assert properties.metadata["sha256"] == result.version.digest.removeprefix("sha256:")
    assert bytes(properties.content_settings.content_md5) == hashlib.md5(path.read_bytes()).digest()
    assert properties.size == path.stat().st_size


@pytest.mark.integration
def test_blob_store_detects_other_bytes(azurite: Azurite, make_archive: MakeArchive) -> None:
    url = azurite.container("occupied")
    path = make_archive()
    with ContainerClient.from_container_url(
        url, FakeCredential(), connection_verify=str(azurite.certificate)
    ) as container:
        container.upload_blob(archive_key(validate_archive(path).version_manifest), b"other")
    store = BlobStore.from_url(url, FakeCredential(), certificates=azurite.certificate)
    with pytest.raises(StoreError, match="do not match its digest"):
        store.put(path)
    assert store.versions() == []


@pytest.mark.integration
def test_blob_store_errors_name_the_remedy(azurite: Azurite, make_archive: MakeArchive) -> None:
    missing = BlobStore.from_url(f"{azurite.url}/missing", FakeCredential(), certificates=azurite.certificate)
    with pytest.raises(StoreError, match=r"missing was not found.*check the address"):
        missing.put(make_archive())

    class BadCredential(FakeCredential):
        def get_token(self, *scopes: str, **options: object) -> object:  # type: ignore[override]
            token = super().get_token(*scopes, **options)
            return token._replace(token="e30.e30.e30")

    unauthorized = BlobStore.from_url(azurite.container("closed"), BadCredential(), certificates=azurite.certificate)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"rejected this identity|no credential for"):
        unauthorized.put(make_archive())


def test_open_store_accepts_folder_or_container(tmp_path: Path) -> None:
    assert isinstance(open_store(str(tmp_path)), FolderStore)
    assert isinstance(open_store("https://account.blob.core.windows.net/models"), BlobStore)
    with pytest.raises(StoreError, match="is not a model store"):
        open_store("s3://bucket/models")


def test_folder_store_reports_a_file_in_its_place(tmp_path: Path) -> None:
    """A failed mount must not look like an empty registry."""
    root = tmp_path / "registry"
    root.write_text("not a folder")
    with pytest.raises(StoreError, match="registry cannot be used"):
        FolderStore(root).versions()
