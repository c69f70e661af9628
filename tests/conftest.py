"""What tests in several folders share: a JACK server of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bridge.testing import JackServer
from engines.errors import SidemanError


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JackServer]:
    """A JACK server on the dummy driver, which this process and its children find; skips where there is no jackd."""
    name = f"sideman-test-{os.getpid()}"
    monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
    found = JackServer(name)
    try:
        found.start()
    except SidemanError as error:
        pytest.skip(str(error))
    yield found
    found.stop()
