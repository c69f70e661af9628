"""MusicgenEngine: sound of a prompt, bar by bar on the beat or chunk by chunk as it comes, bent by faders and keys.

What is made is a stream that goes on for ever. A bar is taken from it where it lies best on the beat, of the best of
some candidates; a shorter span is the next samples of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from engines.audio import LEAD_S, Frames, Loop, frames_in
from engines.bundle import Bundle
from engines.engine import Played, Request
from engines.errors import SidemanError
from engines.music import TICKS_PER_BEAT
from engines.musicgen.bars import Round, ended, faded
from engines.musicgen.faders import BundleFader, faders_of
from engines.musicgen.generator import Take
from engines.musicgen.grid import STRETCH_MAX
from engines.musicgen.hands import Hands
from engines.musicgen.keys import Touch, levels_after
from engines.musicgen.ladder import FROZEN, LEAST, SAFE, Ladder, Rung
from engines.musicgen.making import Made, Maker, Span
from engines.musicgen.memory import Desk, Stream, heard
from engines.musicgen.model import MusicgenModel, SteeredModel
from engines.musicgen.parameters import Live, live_of, parameters_for
from engines.musicgen.prompts import Prompts
from engines.musicgen.sampling import Settings
from engines.musicgen.state import Clock, Renewal, SoundState
from engines.musicgen.wav import history_sound
from engines.randomness import generator
from engines.stretch import stretched

WINDOW_S = 18.0
"""Of the stream, the decoder keeps so much at most before it is cut to its last seconds."""

ALIGNED = 0.5
"""Of the seconds that a stream is cut to: a bar for which more has to be made than is played is not brought onto the
beat."""

FADE_S, SHORT_FADE_S = 0.04, 0.01
"""Of a bar's seams, and of shorter spans', where what follows is not what would have."""

MARGIN_S = 0.02
"""Of the time that there is, what is left for the way to the stage."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What is asked of the model: takes side by side, and how they are made."""

    takes: list[Take]
    settings: Settings
    steer_both: bool


class MusicgenEngine:
    """Plays a bundle of `sideman export musicgen`."""

    def __init__(
        self, model: SteeredModel, faders: Sequence[BundleFader] = (), further: Sequence[BundleFader] = (), *,
        live: Live | None = None, now_s: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        """further: directions for keys alone; live: what the bundle says of playing; now_s: the clock of overload."""
        shape, live = model.shape, live or Live()
        window = min(shape.positions, round((live.context_s + WINDOW_S) * shape.frame_rate_hz))
        context = min(round(live.context_s * shape.frame_rate_hz), window // 2)
        self.model = model
        self.parameters = parameters_for(faders, live)
        self._hands = Hands(faders, further, shape.layers, shape.width)
        self._prompts = Prompts(model)
        self._desk = Desk(model, window)
        self._context = context
        self._maker = Maker(self._desk, context, now_s)
        self._ladder = Ladder()
        self._now_s = now_s
        self._remarks: list[str] = []
        self._trouble = ""

    @classmethod
    def load(cls, bundle: Bundle | None, runtime: str = "auto", device: str = "auto") -> Self:
        """See engines.engine.Engine.load, and MusicgenModel.load; raises SidemanError without a bundle."""
        if bundle is None:
            raise SidemanError("the engine musicgen needs a bundle: sideman export musicgen MODEL -o BUNDLE makes one")
        model = MusicgenModel.load(bundle, runtime, device=device)
        faders, further = faders_of(bundle, model.shape)
        return cls(model, faders, further, live=live_of(bundle))

    def start(self, seed: int) -> SoundState:
        """Silence, and nothing heard."""
        shape = self.model.shape
        nothing = np.zeros((0, shape.channels), np.float32)
        pad = np.full((shape.books, 1), shape.vocabulary, np.int64)
        return SoundState(Stream(pad), tail=nothing, recent=nothing)

    def prime(self, history: Sequence[Played], seed: int) -> SoundState:
        """As if the last seconds of the loops that were played had been made here, as far back as their files reach."""
        shape, state = self.model.shape, self.start(seed)
        sound = history_sound(history, shape.rate_hz, shape.channels, self._context / shape.frame_rate_hz)
        codes = self.model.codec.codes(sound)
        frames = codes.shape[1]
        if not frames:
            return state
        stream = Stream(shape.delay.laid(codes, 1 + frames), lead=frames)
        return replace(state, stream=stream, place=frames * shape.hop, recent=sound)

    def said(self) -> tuple[str, ...]:
        """What is to be remarked since this was asked last."""
        remarks, self._remarks = [*self._remarks, *self._ladder.said()], []
        return tuple(remarks)

    def generate(self, request: Request, state: SoundState) -> tuple[Loop, SoundState]:
        """The next span of the stream; see engines.engine.Engine.generate."""
        due_s = self._now_s() + request.time_left_s - MARGIN_S
        shape = self.model.shape
        wanted = frames_in(request.length_ticks, request.tempo_bpm, shape.rate_hz)
        touch = _touch(request, shape.frame_rate_hz)
        levels = levels_after(state.levels, request.heard, request.now_tick, touch, state.stream.number)
        state = replace(state, levels=self._hands.heard(levels), again=False)
        turn = self._turn(request, state)
        if turn is not None and turn.whole:
            frames, state = self._again(turn, wanted, state)
        else:
            frames, state = self._new(request, state, turn, due_s)
        bar_samples = frames_in(request.meter.bar_ticks, request.tempo_bpm, shape.rate_hz)
        lead = state.recent[-round(LEAD_S * shape.rate_hz) :]
        recent = np.concatenate([state.recent, frames])[-max(bar_samples, 1) :]
        loop = Loop(np.concatenate([lead, frames]), shape.rate_hz, request.length_ticks, len(lead), state.again)
        return loop, replace(state, recent=recent)

    def _turn(self, request: Request, state: SoundState) -> Round | None:
        """The bars that come again of which this is one; None if it goes on for ever, or while keys bend it."""
        count = int(request.parameters["bars"])
        if not count or state.levels or not _whole_bar(request):
            return None
        key = (request.meter, request.length_ticks, *sorted(request.parameters.items()))
        if state.round is not None and state.round.key == key and not request.vary:
            return state.round
        fade = round(FADE_S * self.model.shape.rate_hz)
        lead = np.zeros((fade, self.model.shape.channels), np.float32)
        heard = state.recent[-fade:]
        lead[fade - len(heard) :] = heard
        return Round(key, count, lead)

    def _again(self, turn: Round, wanted: int, state: SoundState) -> tuple[Frames, SoundState]:
        """The bar that is due of those that come again, stretched only if the tempo is another by now."""
        starts = np.cumsum([0, *map(len, turn.bars)])
        whole, rate = np.concatenate(turn.bars), self.model.shape.rate_hz
        frames = stretched(whole, int(starts[turn.next]), int(starts[turn.next + 1]), wanted, rate)
        after = (turn.next + 1) % turn.count
        tail = turn.bars[after][: len(turn.lead)]
        return frames, replace(state, round=replace(turn, next=after), tail=tail, seamless=False)

    def _new(self, request: Request, state: SoundState, turn: Round | None, due_s: float) -> tuple[Frames, SoundState]:
        """A span that was not there before; where there is no time for it, what sounded last."""
        span, left_s = self._span(request, state), due_s - self._now_s()
        work = self._maker.work(state.stream, state.place, span)
        wanted = Rung(int(request.parameters["candidates"]) if span.grid else 1, request.parameters["guidance"] != 1.0)
        way = self._ladder.chosen(wanted, left_s, work)
        if way == FROZEN:  # as far as it gets: what it takes is less then the next time
            if SAFE * left_s <= self._ladder.sound_s(LEAST, work):
                return self._frozen(state, span)
            way, due_s = LEAST, due_s - (1 - SAFE) * left_s
        wish, clock = self._wish(request, state, way.takes)
        if not state.stream.heard and state.renewal is None:  # as it is wanted, whatever there is time for now
            state = replace(state, renewal=self._hearing(state.stream, wish), due=True)
        wait_s = left_s - self._ladder.cost_s(way, work)
        if state.renewal is not None and state.due and not state.renewal.ready(wait_s):
            self._ladder.froze(work)
            return self._frozen(state, span)
        if not way.guided:
            wish = replace(wish, settings=replace(wish.settings, guidance=1.0))
        made, spent = self._maker.made(
            state.onward(), state.place, span, wish.takes, wish.settings, steer_both=wish.steer_both,
            due_s=due_s - self._ladder.sound_s(way, work),
        )  # fmt: skip
        self._ladder.took(way, spent.steps, spent.steps_s, spent.frames, spent.sound_s)
        state = replace(state, clock=clock)
        if isinstance(made, Stream):
            self._ladder.froze(work)
            onward = replace(state, renewal=None, due=False) if state.due else state
            return self._frozen(replace(onward, stream=made), span)
        if state.renewal is not None and not state.due:
            state = replace(state, due=True)
        else:
            state = replace(state, renewal=self._renewal(made, span, wish), due=span.grid is not None)
        return self._joined(made, state, span, turn)

    def _wish(self, request: Request, state: SoundState, count: int) -> tuple[Wish, Clock]:
        """What is asked for in so many takes, and since when each fader is where it is."""
        values = request.parameters
        faders = tuple(float(values[each.name]) for each in self._hands.faders)
        clock = state.clock.after(str(values["schedule"]), faders, state.stream.number)
        steering = self._hands.steering(clock, float(values["inject"]), state.levels)
        self._warn(steering.troubles())
        prompt, cut = self._prompts.heard(str(values["prompt"]), request.tempo_bpm)
        self._remarks += cut
        takes = [Take(prompt, steering, _seed(request, number)) for number in range(count)]
        settings = Settings(float(values["temperature"]), int(values["top_k"]), 1.0, float(values["guidance"]))
        return Wish(takes, settings, bool(values["steer_both"])), clock

    def _joined(self, made: Made, state: SoundState, span: Span, turn: Round | None) -> tuple[Frames, SoundState]:
        """A span behind what was played, and one of the bars that come again if it is one."""
        frames = made.frames if state.seamless and made.exact else faded(state.tail, made.frames)
        frames = np.clip(frames, -1.0, 1.0)
        tail, seamless = np.clip(made.tail, -1.0, 1.0), made.exact
        if turn is not None:
            if len(turn.bars) + 1 == turn.count:
                frames = ended(frames, turn.lead)
                tail, seamless = (turn.bars or (frames,))[0][: span.fade], False
            turn = replace(turn, bars=(*turn.bars, frames))
        return frames, replace(state, stream=made.stream, place=made.place, tail=tail, seamless=seamless, round=turn)

    def _renewal(self, made: Made, span: Span, wish: Wish) -> Renewal | None:
        """The stream cut to its last seconds, if its positions run out: made in the time until it is asked for again.

        Of a short span that is little. So it is begun one span earlier, and what that one adds is heard when it is due.
        """
        steps = self._maker.work(made.stream, made.place, span).steps
        ahead = steps if span.grid else 2 * steps
        if made.stream.columns.shape[1] - 1 + ahead <= self._desk.window:
            return None
        shape = self.model.shape
        return self._hearing(made.stream.cut(self._context, shape.vocabulary, shape.delays), wish)

    def _hearing(self, stream: Stream, wish: Wish) -> Renewal:
        """A stream of which nothing is remembered, heard: of one that was primed it takes longer than a short span."""
        take, settings = wish.takes[0], wish.settings
        return Renewal(lambda: heard(self._desk, stream, take, settings, steer_both=wish.steer_both))

    def _frozen(self, state: SoundState, span: Span) -> tuple[Frames, SoundState]:
        """What sounded a bar ago, once more."""
        count, recent = span.wanted, state.recent
        if not len(recent):
            silence = np.zeros((count + span.fade, self.model.shape.channels), np.float32)
            return silence[:count], replace(state, tail=silence[count:], seamless=False, again=True)
        frames = recent[np.arange(count + span.fade) % len(recent)]
        return faded(state.tail, frames[:count]), replace(state, tail=frames[count:], seamless=False, again=True)

    def _span(self, request: Request, state: SoundState) -> Span:
        """A bar is brought onto the beat; less than one is the next samples."""
        rate = self.model.shape.rate_hz
        wanted = frames_in(request.length_ticks, request.tempo_bpm, rate)
        if not _whole_bar(request):
            return Span(wanted, round(SHORT_FADE_S * rate))
        fresh = not state.place and not len(state.recent)
        beat = frames_in(request.meter.felt_beat_ticks, request.tempo_bpm, rate) if fresh else 0
        room = 2 * STRETCH_MAX * wanted + beat <= ALIGNED * self._context * self.model.shape.hop
        align = bool(request.parameters["align"]) and room
        return Span(
            wanted, round(FADE_S * rate), (request.meter, request.length_ticks), align, beat if align else 0
        )  # fmt: skip

    def _warn(self, troubles: list[str]) -> None:
        """Remark, once, that what is asked is held down."""
        trouble = troubles[0] if troubles else ""
        if trouble and trouble != self._trouble:
            self._remarks.append(trouble)
        self._trouble = trouble


def _whole_bar(request: Request) -> bool:
    return request.length_ticks >= request.meter.bar_ticks


def _touch(request: Request, rate_hz: float) -> Touch:
    """How keys act at so many steps a second."""
    values = request.parameters
    attack, release = (float(values[name]) / 1e3 * rate_hz for name in ("attack", "release"))
    return Touch(float(values["keys"]), attack, release, TICKS_PER_BEAT * request.tempo_bpm / 60 / rate_hz)


def _seed(request: Request, candidate: int) -> int:
    """Of a take: another one for each span, each time it is asked for again, and each candidate."""
    return int(generator(request.seed, request.start_tick, request.take, candidate).integers(1 << 62))
