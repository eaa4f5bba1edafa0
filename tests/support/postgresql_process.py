"""A real PostgreSQL for tests: a free port on loopback, without synchronisation to the disk by default."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.torchserve_process import free_ports

INSTALL_HINT = "PostgreSQL not found: apt-get install --no-install-recommends postgresql (`make postgresql`)"
PASSWORD = "a password for tests"


@dataclass
class PostgresqlProcess:
    """A PostgreSQL that a test may stop and start again."""

    port: int
    folder: Path
    binaries: Path
    is_durable: bool = False
    """True if a commit is synchronised to the disk."""

    @property
    def password_path(self) -> Path:
        return self.folder / "password"

    def url(self, database: str) -> str:
        return f"postgresql://thale@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def sql(self, statement: str, database: str = "postgres") -> None:
        command = [self.binaries / "psql", "--quiet", "--dbname", self.url(database), "--command", statement]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k '' -c max_connections=50"
        if not self.is_durable:
            options += " -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "-D", self._data, "-l", self.folder / "postgresql.log", "-o", options)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--mode", "immediate", "-D", self._data)

    def initialise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.password_path.write_text(f"{PASSWORD}\n")
        if (user := _user()) is not None:
            shutil.chown(self.folder, user)
            self.password_path.chmod(0o644)
            self.folder.chmod(0o755)
        authentication = ("--auth", "scram-sha-256", "--username", "thale", "--pwfile", self.password_path)
        self._run("initdb", "-D", self._data, "--no-sync", "--encoding", "UTF8", "--locale", "C", *authentication)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str | Path) -> None:
        log = self.folder / f"{program}.log"
        with log.open("wb") as out:  # a pipe would stay open in the server
            done = subprocess.run(
                [self.binaries / program, *arguments], user=_user(), cwd=self.folder, stdout=out, stderr=out
            )
        assert done.returncode == 0, log.read_text()


def _user() -> str | None:
    """Return an ordinary user for the server, which does not run as root; or None for this one."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return pwd.getpwuid(65534).pw_name  # the user without rights


def find_binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs. Debian keeps them outside PATH."""
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).resolve().parent
    folders = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "pg_ctl").exists()]
    return max(folders, key=lambda path: int(path.parent.name), default=None)


@contextmanager
def run_postgresql(folder: Path, *, is_durable: bool = False) -> Iterator[PostgresqlProcess]:
    """Run PostgreSQL within the context. Skip the test if it is not installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(INSTALL_HINT)
    if os.getuid() == 0:  # the ordinary user must reach the folder, and pytest closes its own to others
        folder = Path(tempfile.mkdtemp(prefix="thale-postgresql-"))
    process = PostgresqlProcess(free_ports(1)[0], folder, binaries, is_durable)
    process.initialise()
    process.start()
    try:
        yield process
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)
