"""Steered sound live: drums and a MusicGen bundle at 125 bpm on JACK, a fader of it moved over OSC all the while."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.commands.bench_audio import Silence
from bridge.commands.bench_jack import BenchServer, jack_server
from bridge.commands.figures import Row, percentile
from bridge.daemon import Daemon, LiveOptions
from bridge.players.spans import SpanSize
from bridge.set import PlayerSet, Set
from bridge.terminal.view import ShownBar
from engines.bundle import Bundle, find
from engines.errors import SidemanError
from engines.musicgen.faders import faders_of
from engines.musicgen.shape import shape_of

TEMPO_BPM = 125.0
BEAT_S = 60 / TEMPO_BPM
BAR_S = 4 * BEAT_S
WAYS: dict[SpanSize, tuple[str, float]] = {"beat": ("stream", 2 * BEAT_S), "bar": ("loop", 2 * BAR_S)}
"""What is played at a time, what that is called, and in how many seconds a fader is heard at most: the chunk that
sounds and is as good as played when it is moved, and the one that lies ready behind it."""

PROMPT = "electronic, drums and bass, 125 bpm"
TURN_S = 1.37
"""From one turn of the fader to the next: at all places in a bar."""

SETTLE_BARS = 2
REPLY_S = 5.0
SOUND = ("starved_frames", "late_frames", "xruns")


@dataclass(slots=True)
class Listener:
    """A View that counts. bars: by player and outcome; headrooms: of the texture's; said: lines for people."""

    bars: Counter[tuple[str, str]] = field(default_factory=Counter)
    headrooms: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def bar(self, shown: ShownBar) -> None:
        """See View."""
        self.bars[shown.player, shown.outcome] += 1
        if shown.player == "texture" and shown.outcome == "hit" and shown.bar:
            self.headrooms.append(shown.headroom)

    def playhead(self, step: int) -> None:
        """See View."""

    def sync(self, text: str) -> None:
        """See View."""

    def say(self, text: str) -> None:
        """See View."""
        self.said.append(text)

    def close(self) -> None:
        """See View."""


@dataclass(frozen=True, slots=True)
class Played:
    """How it went. sound: by player, how SOUND's counters grew; silent: xruns of a client that does nothing.

    response_ms: of the fader, last, median and worst, and how often it was heard
    """

    heard: Listener
    sound: dict[str, dict[str, int]]
    silent: int
    response_ms: tuple[float, float, float, int]


def steered_rows(seconds: float, texture: str) -> Iterator[Row]:
    """Both ways, half of the seconds each. texture: the bundle, by name or folder."""
    name = "steered live"
    try:
        bundle = Bundle.load(find(texture))
        if bundle.manifest.engine != "musicgen":
            raise SidemanError(f"{texture} is for the engine {bundle.manifest.engine}, not musicgen")
        faders, _ = faders_of(bundle, shape_of(bundle.manifest.config, bundle.path))
        if not faders:
            raise SidemanError(f"{texture} has no faders")
        for chunk, (way, most_s) in WAYS.items():
            bars = max(2 * SETTLE_BARS, round(seconds / 2 / BAR_S))
            played = _on_jack(_set(texture, chunk), faders[0].name, bars)
            yield from _rows(f"{name}, {way}", played, bars, most_s)
    except SidemanError as error:
        yield Row(name, f"not measured: {error}")


def _set(texture: str, chunk: SpanSize) -> Set:
    drums = PlayerSet(outputs=("audio:jack",))
    steered = PlayerSet(engine="musicgen", bundle=texture, outputs=("audio:jack",), chunk=chunk,
                        parameters={"prompt": PROMPT})  # fmt: skip
    return Set(players={"drums": drums, "texture": steered}, seed=1, tempo_bpm=TEMPO_BPM, osc_port=0)


def _on_jack(set_: Set, fader: str, bars: int) -> Played:
    server = f"sideman-bench-{os.getpid()}"
    with BenchServer(f"{server}-silent"), Silence(f"{server}-silent") as silence, jack_server(server):
        return asyncio.run(_played(set_, fader, bars, silence))


async def _played(set_: Set, fader: str, bars: int, silence: Silence) -> Played:
    heard = Listener()
    daemon = Daemon(set_, LiveOptions(bars=bars), heard)
    client = None
    try:
        await daemon.start()
        client = Client(daemon.osc.port)
        await asyncio.sleep(SETTLE_BARS * BAR_S)
        before, silent = await client.sound(tuple(set_.players)), silence.xruns()
        turning = asyncio.create_task(_turn(client, fader))
        await asyncio.sleep((bars - 2 * SETTLE_BARS + 1) * BAR_S)
        turning.cancel()
        after, silent = await client.sound(tuple(set_.players)), silence.xruns() - silent
        await daemon.wait()
        grown = {
            player: {counter: count - before[player][counter] for counter, count in counters.items()}
            for player, counters in after.items()
        }
        return Played(heard, grown, silent, daemon.players["texture"].planner.response.figures_ms())
    except TimeoutError:
        raise SidemanError("the daemon did not answer") from None
    finally:
        await daemon.close()
        if client:
            client.close()


async def _turn(client: Client, fader: str) -> None:
    """Move the fader, for ever."""
    places = random.Random(1)
    while True:
        client.send(f"texture/{fader}", round(places.random(), 3))
        await asyncio.sleep(TURN_S)


class Client:
    """An OSC client of the daemon, as any other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)

    def send(self, address: str, *arguments: float) -> None:
        """To an address below /sideman."""
        builder = OscMessageBuilder(f"/sideman/{address}")
        for argument in arguments:
            builder.add_arg(argument)
        self._socket.send(builder.build().dgram)

    async def sound(self, players: tuple[str, ...]) -> dict[str, dict[str, int]]:
        """SOUND's counters of each player. Raises TimeoutError."""
        self.send("system/status")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(REPLY_S):
            while True:
                message = OscMessage(await loop.sock_recv(self._socket, 1 << 16))
                if message.address == "/sideman/system/status":
                    break
        words: list[Any] = list(message.params)
        figures = dict(zip(words[::2], words[1::2], strict=False))
        return {name: {each: int(figures.get(f"{name}_{each}", 0)) for each in SOUND} for name in players}

    def close(self) -> None:
        """Hear no more."""
        with contextlib.suppress(OSError):
            self._socket.close()


def _rows(name: str, played: Played, bars: int, most_s: float) -> Iterator[Row]:
    for player in ("drums", "texture"):
        outcomes = {outcome: count for (own, outcome), count in played.heard.bars.items() if own == player}
        hit = outcomes.pop("hit", 0)
        others = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "0 late"
        yield Row(f"{name}, {player}, {TEMPO_BPM:g} bpm, {bars} bars", f"{hit} hit, {others}", "all hit", hit == bars)
    if played.heard.headrooms:
        least, middle = (percentile(played.heard.headrooms, each) for each in (0, 50))
        yield Row(f"{name}, headroom", f"least {least:.0%}, median {middle:.0%}")
    _, middle_ms, worst_ms, count = played.response_ms
    yield Row(
        f"{name}, fader to sound", f"median {middle_ms:.0f} ms, worst {worst_ms:.0f} ms ({count} turns)",
        f"<= {most_s * 1e3:.0f} ms", count > 0 and worst_ms <= most_s * 1e3,
    )  # fmt: skip
    starved, late = (sum(each[counter] for each in played.sound.values()) for counter in SOUND[:2])
    yield Row(f"{name}, sound", f"{starved} frames starved, {late} of loops late", "none", starved + late == 0)
    xruns = max(each["xruns"] for each in played.sound.values())
    yield Row(f"{name}, xruns, against a silent client's", f"{xruns} against {played.silent}", "no more",
              xruns <= played.silent)  # fmt: skip
    said = [line for line in played.heard.said if line.startswith("texture: too slow")]
    yield Row(f"{name}, overload", f"{len(said)} remarks" + (f", such as: {said[0]}" if said else ""))
