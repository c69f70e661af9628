"""A Link session of our own: what can be known without another peer."""

import sys

import pytest

from bridge.messages.sync import SyncSetup
from bridge.timing.clock import read_together
from bridge.timing.sync.link import LinkSource
from bridge.timing.sync.source import Reference
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


def test_our_beats_come_on_our_clock():
    pytest.importorskip("link", reason="the extra `link` is not installed")
    source = LinkSource(SyncSetup("link"), 133_000)
    source.open()
    try:
        references = [event for _ in range(50) for event in source.poll(0) if isinstance(event, Reference)]
        assert len(references) == 50
        first, last = references[0], references[-1]
        ticks = (last.at_ns - first.at_ns) * first.tempo_mbpm / 62_500_000_000
        assert last.tick - first.tick == pytest.approx(ticks, abs=0.05)
        assert source.state().locked
    finally:
        source.close()
    assert source.poll(0) == []


def test_two_clocks_are_read_together():
    readings = iter([(5, 0), (7, 0), (9, 0)])
    units, at_ns = read_together(lambda: next(readings)[0])
    assert units in (5, 7, 9)
    assert at_ns > 0
