"""What faders and held keys add up to: the steering of a span."""

from __future__ import annotations

from collections.abc import Sequence

from engines.musicgen.faders import BundleFader, by_concept
from engines.musicgen.keys import Levels
from engines.musicgen.schedule import Schedule, named
from engines.musicgen.state import Clock
from engines.musicgen.steering import Fader, Steering


class Hands:
    """On the faders of a bundle, and on keys, for which its further directions are there as well."""

    def __init__(self, faders: Sequence[BundleFader], further: Sequence[BundleFader], layers: int, width: int) -> None:
        self.faders = tuple(faders)
        self._keyed = by_concept((*faders, *further))
        self._size = (layers, width)

    def steering(self, clock: Clock, inject: float, levels: Levels) -> Steering:
        """Raises SidemanError for a schedule that there is not."""
        rows = [
            Fader(each.name, value * each.full, each.direction.scale, _begun(clock.schedule, moved), inject)
            for each, value, moved in zip(self.faders, clock.values, clock.moved, strict=True)
        ]
        for concept, ramp in sorted(levels.items()):
            if concept in self._keyed:
                keyed = self._keyed[concept]
                rows.append(Fader(concept, keyed.full, keyed.direction.scale, ramp.at))
        return Steering(rows, *self._size)

    def heard(self, levels: Levels) -> Levels:
        """Those for which there is a direction."""
        return {concept: ramp for concept, ramp in levels.items() if concept in self._keyed}


def _begun(schedule: str, step: int) -> Schedule:
    shape = named(schedule)  # type: ignore[arg-type]  # it says itself what it does not know
    return lambda now: shape(max(0, now - step))
