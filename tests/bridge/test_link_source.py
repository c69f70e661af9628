"""The source of Link: what can be known without a session."""

import sys

import pytest

from bridge.messages.sync import SyncSetup
from bridge.timing.clock import read_together
from bridge.timing.sync.sources import make_source
from engines.errors import SidemanError


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "link", None)
    source = make_source(SyncSetup("link"), 120_000, None, None)
    with pytest.raises(SidemanError, match=r"pip install 'sideman\[link\]'"):
        source.open()
    assert source.poll(0) == []
    assert not source.set_tempo(100_000, 0)
    source.play(0, 0)
    source.stop(0)
    source.close()
    source.close()


def test_internal_is_no_source():
    assert make_source(SyncSetup(), 120_000, None, None) is None


def test_two_clocks_are_read_together():
    readings = iter([(5, 0), (7, 0), (9, 0)])
    units, at_ns = read_together(lambda: next(readings)[0])
    assert units in (5, 7, 9)
    assert at_ns > 0
