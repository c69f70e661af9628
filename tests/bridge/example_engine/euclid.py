"""A Euclidean drummer: hits spread as evenly as can be (Toussaint, 2005), with a ghost note here and there."""

from engines.engine import Played, Request
from engines.music import STEP_TICKS, Note, Phrase
from engines.parameter import Parameter
from engines.randomness import generator

VOICES = {"kick": 36, "snare": 38, "closed_hat": 42}


class Euclid:
    """Its state is the number of bars it has played: each bar turns the pattern by `turn` steps."""

    parameters = (
        *(Parameter(name=f"{voice}_hits", kind="int", default=hits, high=32, help=f"{voice} hits in a bar")
          for voice, hits in {"kick": 5, "snare": 2, "closed_hat": 11}.items()),
        Parameter(name="turn", kind="int", default=1, low=-16, high=16, unit="steps", help="rotation, bar by bar"),
        Parameter(name="ghosts", kind="float", default=0.2, help="chance of a soft hit on an empty step"),
    )  # fmt: skip

    @classmethod
    def load(cls, bundle, runtime="auto"):
        return cls()

    def start(self, seed: int) -> int:
        return 0

    def prime(self, history: list[Played], seed: int) -> int:
        return len(history)

    def generate(self, request: Request, state: int) -> tuple[Phrase, int]:
        values, steps = request.parameters, request.meter.steps
        random = generator(request.seed, request.bar, request.take)
        notes = []
        for voice, pitch in VOICES.items():
            hits = steps if request.fill and voice == "snare" else min(values[f"{voice}_hits"], steps)
            for step in range(steps):
                accent = (step + values["turn"] * state) * hits % steps < hits
                ghost = random.random() < values["ghosts"] * (2 if request.vary else 1)
                if accent or ghost:
                    notes.append(Note(step * STEP_TICKS, pitch, 100 if accent else 35, STEP_TICKS // 2))
        return Phrase.of(request.length_ticks, notes), state + 1
