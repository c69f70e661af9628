"""`sideman check`: a sound engine passes every rule; each rule is broken by an engine made to break it."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.commands.check import RULES
from engines.engine import Request
from engines.music import Note, Phrase
from engines.parameter import Parameter
from engines.randomness import generator


class Sound:
    """Keeps every rule."""

    parameters: tuple[Parameter, ...] = (Parameter(name="hits", kind="int", default=4, low=0, high=8),)

    @classmethod
    def load(cls, bundle: object, runtime: str = "auto") -> Any:
        return cls()

    def start(self, seed: int) -> Any:
        return ()

    def prime(self, history: Any, seed: int) -> Any:
        return tuple(played.phrase for played in history)

    def generate(self, request: Request, state: Any) -> tuple[Phrase, Any]:
        random = generator(request.seed, request.bar, request.take)
        count = min(int(request.parameters["hits"]), request.meter.steps)
        ticks = random.choice(request.meter.steps, count, replace=False) * 240
        phrase = Phrase.of(request.length_ticks, (Note(int(tick), 36, 100, 120) for tick in ticks))
        return phrase, (*state, phrase)


class Named(Sound):
    parameters = (*Sound.parameters, Parameter(name="fill", kind="bool", default=False))


class Long(Sound):
    def generate(self, request: Request, state: Any) -> tuple[Phrase, Any]:
        phrase, state = super().generate(request, state)
        return Phrase(3840, phrase.notes), state


class Brittle(Sound):
    def generate(self, request: Request, state: Any) -> tuple[Phrase, Any]:
        if request.parameters["hits"] == 0:
            raise ZeroDivisionError
        return super().generate(request, state)


class Wild(Sound):
    calls = 0

    def generate(self, request: Request, state: Any) -> tuple[Phrase, Any]:
        Wild.calls += 1
        return Phrase(request.length_ticks, (Note(Wild.calls, 36, 100, 1),)), state


class Mutating(Sound):
    def start(self, seed: int) -> Any:
        return []

    def generate(self, request: Request, state: Any) -> tuple[Phrase, Any]:
        state.append(request.bar)
        return Phrase(request.length_ticks, (Note(len(state), 36, 100, 1),)), state


class Forgetful(Sound):
    def prime(self, history: Any, seed: int) -> Any:
        raise RuntimeError("cannot go on")


class Deaf(Sound):
    def generate(self, request: Request, state: Any) -> tuple[Phrase, Any]:
        phrase, state = super().generate(request, state)
        return Phrase.of(phrase.length, (*phrase.notes, *request.heard)), state


class Moody(Wild):
    def generate(self, request: Request, state: Any) -> tuple[Phrase, Any]:
        return super().generate(request, state) if request.heard else Sound.generate(self, request, state)


@pytest.mark.parametrize("rule", list(RULES))
def test_a_sound_engine_keeps_every_rule(rule: str) -> None:
    RULES[rule](Sound())


@pytest.mark.parametrize(
    ("rule", "engine", "says"),
    [
        ("its parameters have names of their own", Named(), "fill is the name of a verb"),
        ("a bar is as long as it was asked to be", Long(), "3840 ticks instead of 3360"),
        ("every parameter can be turned to its ends", Brittle(), "with hits at 0: ZeroDivisionError"),
        ("the same seed makes the same music", Wild(), "two runs with the same seed differ"),
        ("a state is never changed", Mutating(), "changed the state"),
        ("it goes on from what was played", Forgetful(), "cannot go on"),
        ("it can be told what is heard", Deaf(), "outside its span"),
        ("it can be told what is heard", Moody(), "two different bars"),
    ],
)
def test_each_rule_catches_who_breaks_it(rule: str, engine: Any, says: str) -> None:
    with pytest.raises(Exception, match=says):
        RULES[rule](engine)
