"""What every model store promises, held against a folder and against a real Azurite."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from tests.support.azurite_server import Azurite, FakeCredential, run_azurite
from tests.support.tiny_models import write_tiny_model
from thale.errors import ArchiveError, StoreError, UnknownModelError, UnknownVersionError, VersionExistsError
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.stores import FolderStore, ModelStore, StoreResult, open_store
from thale.release.registry.stores.blob import BlobStore
from thale.release.registry.stores.model_store import MANIFEST_FILE, archive_key
from thale_models.archive import write_archive

Archive = Callable[..., Path]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with run_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture(params=["folder", "blob"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ModelStore]:
    """Return a way to open the same store again, as another process would."""
    if request.param == "folder":
        return lambda: FolderStore(tmp_path / "store")
    azurite: Azurite = request.getfixturevalue("azurite")
    url = azurite.container(f"test-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}")
    return lambda: BlobStore.from_url(url, FakeCredential(), certificates=azurite.certificate)


@pytest.fixture
def store(open_again: Callable[[], ModelStore]) -> ModelStore:
    return open_again()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    def make(version: str = "1.0.0", seed: int = 0, name: str = "tiny-seg") -> Path:
        folder = tmp_path / f"{name}-{version}-{seed}"
        model = write_tiny_model(folder, "segmentation", seed, name=name, version=version)
        return write_archive(model.weights, model.card, folder)

    return make


def test_what_was_put_is_found_and_fetched(store: ModelStore, archive: Archive, tmp_path: Path) -> None:
    path = archive()
    stored = store.put(path)
    assert stored.new
    assert stored.version == validate_archive(path).version_manifest
    assert store.find("tiny-seg", "1.0.0") == stored.version
    fetched = store.fetch("tiny-seg", "1.0.0", tmp_path / "here")
    assert fetched.name == "tiny-seg-1.0.0.mar"
    assert fetched.read_bytes() == path.read_bytes()
    assert store.fetch("tiny-seg", "1.0.0", tmp_path / "here") == fetched
    assert [file.name for file in fetched.parent.iterdir()] == [fetched.name]


def test_a_fetch_puts_right_what_was_halved(store: ModelStore, archive: Archive, tmp_path: Path) -> None:
    path = archive()
    store.put(path)
    (tmp_path / "here").mkdir()
    for name in ("tiny-seg-1.0.0.mar", ".tiny-seg-1.0.0.mar.part"):
        (tmp_path / "here" / name).write_bytes(path.read_bytes()[:1000])
    assert store.fetch("tiny-seg", "1.0.0", tmp_path / "here").read_bytes() == path.read_bytes()


def test_the_same_bytes_again_change_nothing_and_say_so(open_again: Callable[[], ModelStore], archive: Archive) -> None:
    first = open_again().put(archive())
    again = open_again().put(archive())
    assert (again.version, again.uri, again.new) == (first.version, first.uri, False)


def test_the_same_version_with_other_bytes_is_refused(store: ModelStore, archive: Archive) -> None:
    first = store.put(archive()).version
    with pytest.raises(VersionExistsError, match="give the model a new version"):
        store.put(archive(seed=1))
    assert store.find("tiny-seg", "1.0.0") == first


def test_versions_are_listed_by_model_and_number(store: ModelStore, archive: Archive) -> None:
    assert store.versions() == []
    for version in ("1.10.0", "1.9.0"):
        store.put(archive(version))
    store.put(archive(name="a-model"))
    listed = [(released.card.name, released.card.version) for released in store.versions()]
    assert listed == [("a-model", "1.0.0"), ("tiny-seg", "1.9.0"), ("tiny-seg", "1.10.0")]
    assert [released.card.version for released in store.versions("tiny-seg")] == ["1.9.0", "1.10.0"]


def test_what_is_not_there_is_told_with_what_is(store: ModelStore, archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="none"):
        store.find("tiny-seg", "1.0.0")
    store.put(archive())
    with pytest.raises(UnknownVersionError, match=r"1\.0\.0"):
        store.fetch("tiny-seg", "2.0.0", tmp_path)
    for name in ("..", "../store/tiny-seg", "Tiny", "", "tiny-seg/1.0.0"):
        with pytest.raises(UnknownModelError):
            store.find(name, "1.0.0")
    with pytest.raises(UnknownVersionError):
        store.uri("tiny-seg", "../1.0.0")


def test_a_versions_folder_holds_the_layout_that_a_model_server_expects(store: ModelStore, archive: Archive) -> None:
    stored = store.put(archive())
    digest = stored.version.digest.removeprefix("sha256:")
    assert store.uri("tiny-seg", "1.0.0") == stored.uri
    assert stored.uri.endswith(f"/tiny-seg/1.0.0/{digest[:12]}")
    assert archive_key(stored.version) == f"tiny-seg/1.0.0/{digest[:12]}/model-store/tiny-seg-1.0.0.mar"


def test_what_is_no_archive_is_not_kept(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "broken.mar").write_bytes(b"PK")
    with pytest.raises(ArchiveError):
        store.put(tmp_path / "broken.mar")
    assert store.versions() == []


def test_of_registers_that_race_one_wins_and_the_others_are_told(
    open_again: Callable[[], ModelStore], archive: Archive
) -> None:
    paths = [archive(seed=seed) for seed in range(3)] * 2

    def put(path: Path) -> StoreResult | VersionExistsError:
        try:
            return open_again().put(path)
        except VersionExistsError as error:
            return error

    with ThreadPoolExecutor(len(paths)) as pool:
        results = list(pool.map(put, paths))
    stored = [result for result in results if isinstance(result, StoreResult)]
    assert len(results) - len(stored) == 4
    winner = open_again().find("tiny-seg", "1.0.0")
    assert all(result.version == winner for result in stored)
    assert [result.new for result in stored].count(True) == 1


def test_an_interrupted_register_counts_for_nothing_and_can_be_taken_up(
    open_again: Callable[[], ModelStore], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = open_again()
    monkeypatch.setattr(interrupted, "_write_new", lambda name, data: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        interrupted.put(archive())
    with pytest.raises(UnknownModelError):
        open_again().find("tiny-seg", "1.0.0")
    assert open_again().put(archive(seed=1)).new
    with pytest.raises(VersionExistsError):
        open_again().put(archive())


def test_an_archive_is_read_only_in_a_folder_and_missed_when_it_is_gone(tmp_path: Path, archive: Archive) -> None:
    store = FolderStore(tmp_path / "store")
    released = store.put(archive()).version
    path = store.archive(released)
    assert path.stat().st_mode & 0o777 == 0o444
    assert (tmp_path / "store" / "tiny-seg" / "1.0.0" / MANIFEST_FILE).stat().st_mode & 0o777 == 0o444
    assert not list((tmp_path / "store").rglob(".*"))
    path.unlink()
    with pytest.raises(StoreError, match="register tiny-seg"):
        store.archive(released)
    with pytest.raises(StoreError):
        store.fetch("tiny-seg", "1.0.0", tmp_path)


def test_damage_in_the_store_is_noticed(tmp_path: Path, archive: Archive) -> None:
    store = FolderStore(tmp_path / "store")
    path = store.archive(store.put(archive()).version)
    path.chmod(0o644)
    path.write_bytes(b"other")
    with pytest.raises(StoreError, match=r"sha256:.* was registered"):
        store.fetch("tiny-seg", "1.0.0", tmp_path / "here")
    assert not list((tmp_path / "here").iterdir())
    claim = tmp_path / "store" / "tiny-seg" / "1.0.0" / MANIFEST_FILE
    claim.unlink()
    with pytest.raises(StoreError, match="other bytes than its name says"):
        store.put(archive())
    claim.write_text("{")
    with pytest.raises(StoreError, match=r"release\.json in the model store cannot be read"):
        store.find("tiny-seg", "1.0.0")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="choose another"):
        FolderStore(tmp_path / "file").put(archive())


def test_the_service_keeps_digest_and_checksum_with_an_archive(azurite: Azurite, archive: Archive) -> None:
    url = azurite.container("facts")
    stored = BlobStore.from_url(url, FakeCredential(), certificates=azurite.certificate).put(path := archive())
    with ContainerClient.from_container_url(
        url, FakeCredential(), connection_verify=str(azurite.certificate)
    ) as container:
        kept = container.get_blob_client(archive_key(stored.version)).get_blob_properties()
    assert kept.metadata["sha256"] == stored.version.digest.removeprefix("sha256:")
    assert bytes(kept.content_settings.content_md5) == hashlib.md5(path.read_bytes()).digest()
    assert kept.size == path.stat().st_size


def test_other_bytes_under_a_digests_name_are_noticed(azurite: Azurite, archive: Archive) -> None:
    url = azurite.container("squatted")
    path = archive()
    with ContainerClient.from_container_url(
        url, FakeCredential(), connection_verify=str(azurite.certificate)
    ) as container:
        container.upload_blob(archive_key(validate_archive(path).version_manifest), b"other")
    store = BlobStore.from_url(url, FakeCredential(), certificates=azurite.certificate)
    with pytest.raises(StoreError, match="other bytes than its name says"):
        store.put(path)
    assert store.versions() == []


def test_who_may_not_and_what_is_not_there_are_told_with_what_to_do(azurite: Azurite, archive: Archive) -> None:
    missing = BlobStore.from_url(f"{azurite.url}/missing", FakeCredential(), certificates=azurite.certificate)
    with pytest.raises(StoreError, match=r"missing is not there.*check the address"):
        missing.put(archive())

    class Expired(FakeCredential):
        def get_token(self, *scopes: str, **options: object) -> object:  # type: ignore[override]
            token = super().get_token(*scopes, **options)
            return token._replace(token="e30.e30.e30")

    stranger = BlobStore.from_url(azurite.container("closed"), Expired(), certificates=azurite.certificate)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"refuses this identity|nobody is signed in"):
        stranger.put(archive())


def test_a_place_is_a_folder_or_a_container_and_nothing_else(tmp_path: Path) -> None:
    assert isinstance(open_store(str(tmp_path)), FolderStore)
    assert isinstance(open_store("https://account.blob.core.windows.net/models"), BlobStore)
    with pytest.raises(StoreError, match="no model store"):
        open_store("s3://bucket/models")
