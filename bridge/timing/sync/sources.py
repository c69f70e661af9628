"""Which source a set follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.messages.sync import SyncSetup
from bridge.timing.sync.source import Source
from engines.errors import SidemanError

if TYPE_CHECKING:
    from bridge.stage.inputs.inputs import Inputs
    from bridge.stage.rack import Rack


def make_source(setup: SyncSetup, tempo_mbpm: int, inputs: Inputs | None, rack: Rack) -> Source | None:
    """Make (and not open) the source that a set follows; None for internal.

    tempo_mbpm: ours now; inputs: the stage's (bridge/stage/inputs), where a MIDI clock comes in; rack: the stage's
    Raises SidemanError for a source that is not here.
    """
    match setup.kind:
        case "internal":
            return None
        case "link":
            from bridge.timing.sync.link import LinkSource

            return LinkSource(setup, tempo_mbpm)
        case "midi" if inputs:
            from bridge.timing.sync.midi_clock import MidiClockSource

            return MidiClockSource(inputs.named(setup.target))
        case "jack":
            from bridge.timing.sync.jack import JackTransport

            return JackTransport(tempo_mbpm, rack)
    raise SidemanError(f"sync: there is no source {setup.kind}")
