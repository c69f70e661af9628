"""Parts: what the halves of a player's planner work with together."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.control.heard import Ears
from bridge.players.asking import Asking
from bridge.players.deadline import Deadlines
from bridge.players.grid import Song
from bridge.players.plan import Offers
from bridge.players.response import Response
from bridge.players.spans import Spans
from bridge.players.track import Track


@dataclass(frozen=True, slots=True)
class Parts:
    """One player's: the song and its spans, what can be made in time, its worker, the stage, what it plays and hears.

    response: how long what is turned takes to be heard
    """

    song: Song
    spans: Spans
    deadlines: Deadlines
    asking: Asking
    offers: Offers
    track: Track
    ears: Ears
    response: Response
