"""Fixtures of the contracts: the stores of a test, and the one S3 server that all tests of a process share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import s3_server
from tests.s3_server import S3
from tests.stores import Stores


@pytest.fixture(scope="session")
def seaweed() -> Iterator[S3]:
    with s3_server.running() as s3:
        yield s3


@pytest.fixture
def stores(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stores]:
    stores = Stores(tmp_path, request)
    yield stores
    stores.close()
