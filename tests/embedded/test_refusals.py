"""Data that is not ours is left untouched, and the message says what to do."""

import pytest

from tests.embedded.conftest import Servers

pytestmark = pytest.mark.enable_socket


def refusal(servers: Servers, name: str) -> str:
    _, errors = servers.user(name).communicate(timeout=20)
    assert "EmbeddedError" in errors
    return errors


def test_data_of_another_major_version(fresh: Servers) -> None:
    fresh.layout.pgdata.mkdir(parents=True)
    (fresh.layout.pgdata / "PG_VERSION").write_text("17\n")
    assert "holds data of PostgreSQL 17, and 18 is embedded. It is left untouched" in refusal(fresh, "postgres")
    assert [path.name for path in fresh.layout.pgdata.iterdir()] == ["PG_VERSION"]


def test_a_foreign_folder_in_the_place_of_the_database(fresh: Servers) -> None:
    fresh.layout.pgdata.mkdir(parents=True)
    (fresh.layout.pgdata / "thesis.odt").write_text("years of work")
    assert "is not a PostgreSQL data folder. It is left untouched" in refusal(fresh, "postgres")
    assert (fresh.layout.pgdata / "thesis.odt").read_text() == "years of work"


def test_a_foreign_folder_in_the_place_of_valkey(fresh: Servers) -> None:
    fresh.layout.valkey_home.mkdir(parents=True)
    (fresh.layout.valkey_home / "thesis.odt").write_text("years of work")
    assert "holds thesis.odt, which is not Valkey's" in refusal(fresh, "valkey")


def test_a_data_folder_that_is_a_file(fresh: Servers) -> None:
    fresh.layout.data_dir.write_text("")
    assert "Cannot use the data folder" in refusal(fresh, "valkey")


def test_after_a_refusal_the_next_start_works(fresh: Servers) -> None:
    fresh.layout.valkey_home.mkdir(parents=True)
    stranger = fresh.layout.valkey_home / "thesis.odt"
    stranger.touch()
    refusal(fresh, "valkey")
    stranger.unlink()
    fresh.attached("valkey")
    assert fresh.valkey.ping()
