"""As whom PostgreSQL runs, and that nothing is opened to other accounts for it."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from zinzino.embedded import identity
from zinzino.embedded.layout import EmbeddedError, Layout, private
from zinzino.embedded.postgres import Postgres, binaries

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused by PostgreSQL")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e")  # short enough for sockets


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can reach; every start of pytest closes its own to others."""
    with tempfile.TemporaryDirectory(prefix="e") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def modes(folder: Path) -> dict[Path, int]:
    return {step: stat.S_IMODE(step.stat().st_mode) for step in (folder, *folder.parents)}


@as_root
@pytest.mark.enable_socket
def test_root_runs_it_inside_its_own_closed_home(folder: Path) -> None:
    if identity.in_namespace() is None:
        pytest.skip("user namespaces are refused here")
    home = folder / "home"
    home.mkdir(mode=0o700)
    before = modes(home)
    layout = Layout(home / "var")
    layout.make()
    server = Postgres(layout)
    server.start()
    try:
        assert server.answers()
        assert layout.pgdata.stat().st_uid == 0
        assert modes(home) == before
    finally:
        server.stop()


@as_root
@pytest.mark.enable_socket
def test_without_namespaces_an_account_runs_it_and_owns_its_data_only(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "in_namespace", lambda: None)
    who = identity.unprivileged()
    if identity.first_closed(who, [binaries(), open_folder]):
        pytest.skip("the packages lie in a folder that the account cannot reach")
    layout = Layout(open_folder / "var")
    layout.make()
    before = modes(open_folder)
    server = Postgres(layout)
    server.start()
    try:
        assert server.answers()
        assert layout.pgdata.stat().st_uid == layout.postgres_home.stat().st_uid == who.uid != 0
        assert layout.run.stat().st_uid == layout.log.stat().st_uid == 0
        assert modes(open_folder) == before
    finally:
        server.stop()


@as_root
def test_an_account_that_cannot_reach_the_data_is_told_which_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "in_namespace", lambda: None)
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    tmp_path.chmod(0o700)
    with pytest.raises(EmbeddedError, match="may not enter /") as refused:
        identity.choose([closed])
    assert any(str(step) in str(refused.value) for step in (closed, *closed.parents[:-1]))
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_data_made_by_another_account_is_taken_over(folder: Path) -> None:
    home = folder / "postgres"
    (home / "data").mkdir(parents=True)
    for path in (home, home / "data"):
        os.chown(path, 65534, 65534)
    layout = Layout(folder)
    layout.make()
    postgres = Postgres(layout)
    (home / "data" / "PG_VERSION").write_text("18\n")
    postgres.prepare()
    assert {path.stat().st_uid for path in (home, *home.rglob("*"))} == {postgres.who and postgres.who.uid}


def test_a_folder_that_another_account_prepared_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(EmbeddedError, match="belongs to another account"):
        private(tmp_path / "link")


def test_a_folder_of_ours_that_is_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
