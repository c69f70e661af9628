"""Live, end to end, with real processes: the engine of tests/bridge/example_engine, installed from its folder."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mido
import msgspec
import pytest
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.daemon import Daemon, LiveOptions
from bridge.set import PlayerSet, Set
from bridge.testing import RecordingView
from engines.bundle import Manifest
from engines.errors import SidemanError

EXAMPLE = Path(__file__).parent / "example_engine"
STEP = 240
BAR = 3840


@pytest.fixture(scope="session")
def euclid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), str(EXAMPLE)]
    if importlib.util.find_spec("hatchling"):
        command.append("--no-build-isolation")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot install a folder here: {done.stderr.strip().splitlines()[-1:]}")
    return folder


@pytest.fixture(autouse=True)
def _findable(euclid: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(euclid))
    yield


def a_set(seed: int = 1, tempo_bpm: float = 480.0, **more: object) -> Set:
    player = PlayerSet(engine="euclid", bundle="", outputs=("osc",), parameters={"ghosts": 0.3})
    return Set(players={"drums": player}, seed=seed, tempo_bpm=tempo_bpm, osc_port=0, **more)  # type: ignore[arg-type]


def play(set_: Set, options: LiveOptions) -> RecordingView:
    async def session() -> RecordingView:
        watch = RecordingView()
        daemon = Daemon(set_, options, watch)
        try:
            await daemon.start()
            await daemon.wait()
        finally:
            await daemon.close()
        return watch

    return asyncio.run(session())


def onsets(path: Path) -> tuple[list[tuple[int, int]], int]:
    """(tick, pitch) of each note-on, and how many are without their end."""
    ons, open_notes = [], {}
    for track in mido.MidiFile(path).tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                ons.append((tick, message.note))
                open_notes[message.note] = tick
            elif message.type in ("note_off", "note_on"):
                open_notes.pop(message.note, None)
    return ons, len(open_notes)


class Client:
    """An OSC client as Max is one: it sends from one socket and hears on another."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in.bind(("127.0.0.1", 0))
        self._in.setblocking(False)
        self.port = self._in.getsockname()[1]

    def send(self, address: str, *arguments: object) -> None:
        builder = OscMessageBuilder(address)
        for argument in arguments:
            builder.add_arg(argument)  # type: ignore[arg-type]
        self.send_raw(builder.build().dgram)

    def send_raw(self, packet: bytes) -> None:
        self._out.sendto(packet, self._target)

    async def next(self, *addresses: str) -> OscMessage:
        """The next message that comes in for one of the addresses; others are passed over."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while True:
                message = OscMessage(await loop.sock_recv(self._in, 1 << 16))
                if message.address in addresses:
                    return message

    def close(self) -> None:
        self._out.close()
        self._in.close()


def with_client(
    scene: Callable[[Daemon, RecordingView, Client], object],
    options: LiveOptions | None = None,
    set_: Set | None = None,
) -> RecordingView:
    """Play while a client acts its scene (a coroutine function), then stop."""

    async def session() -> RecordingView:
        watch = RecordingView()
        daemon = Daemon(set_ or a_set(), options or LiveOptions(), watch)
        client = None
        try:
            await daemon.start()
            client = Client(daemon.osc.port)
            await scene(daemon, watch, client)  # type: ignore[misc]
        finally:
            if client:
                client.close()
            await daemon.close()
        return watch

    return asyncio.run(session())


def test_eight_bars_land_in_the_file_on_their_ticks_and_the_seed_decides_them(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.mid", "b.mid", "c.mid")]
    outcomes = set()
    for seed, file, bars in zip((1, 1, 2), files, (8, 8, 2), strict=True):
        watch = play(a_set(seed, 960.0), LiveOptions(bars=bars, record=(file,)))
        assert [bar.bar for bar in watch.bars] == list(range(bars))
        outcomes |= {bar.outcome for bar in watch.bars}
    ons, hanging = onsets(files[0])
    assert hanging == 0
    assert {tick // BAR for tick, _ in ons} == set(range(8))
    assert all(tick % STEP == 0 for tick, _ in ons)
    bars_played = [tuple((tick - bar * BAR, pitch) for tick, pitch in ons if tick // BAR == bar) for bar in range(8)]
    assert len(set(bars_played)) > 1
    assert [note for note in onsets(files[2])[0] if note[0] < BAR] != [note for note in ons if note[0] < BAR]
    if outcomes == {"hit"}:
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_folder_of_the_users_called_engines_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bridge", "engines"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    assert [bar.bar for bar in play(a_set(1, 960.0), LiveOptions(bars=1)).bars] == [0]


def test_the_engines_own_parameters_are_set_asked_and_heard_over_osc() -> None:
    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        client.send("/sideman/system/subscribe", client.port)
        await client.next("/sideman/system/subscribe")
        client.send("/sideman/drums/kick_hits", 1)
        client.send("/sideman/drums/ghosts", 0.0)
        client.send("/sideman/drums/kick_hits")
        assert list(await client.next("/sideman/drums/kick_hits")) == [1]
        last = watch.bars[-1].bar if watch.bars else 0
        await watch.until_bar(last + 3)
        assert [note.pitch for note in watch.bars[-1].notes].count(36) == 1

    with_client(scene)


def test_a_subscriber_gets_whole_bars_ahead_and_then_the_notes() -> None:
    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        client.send("/sideman/system/subscribe", client.port, "/sideman/drums/*")
        ahead: dict[int, list[int]] = {}
        heard: list[tuple[int, int]] = []
        while len(heard) < 120:
            message = await client.next("/sideman/drums/bar", "/sideman/drums/note")
            values = list(message)
            if message.address.endswith("bar"):
                assert values[1:3] == [1, 1]
                ahead[values[0]] = values[3:]
            elif values[1]:
                heard.append((values[2], values[0]))
        bars = sorted(ahead)[:-2]
        assert bars
        for bar in bars[1:]:
            notes = {(bar * BAR + ahead[bar][i], ahead[bar][i + 1]) for i in range(0, len(ahead[bar]), 4)}
            assert {(tick, pitch) for tick, pitch in heard if tick // BAR == bar} <= notes

    with_client(scene)


def test_the_tempo_turns_in_mid_bar_without_a_lost_or_doubled_step(tmp_path: Path) -> None:
    file = tmp_path / "out.mid"

    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        for bar, bpm in ((1, 300), (2, 700), (3, 200.5), (4, 999)):
            await watch.until_bar(bar)
            client.send("/sideman/transport/tempo", bpm)
        await daemon.wait()

    watch = with_client(scene, LiveOptions(bars=7, record=(file,)))
    ons, hanging = onsets(file)
    assert hanging == 0
    assert all(tick % STEP == 0 for tick, _ in ons)
    played = {(bar.bar, note.tick, note.pitch) for bar in watch.bars for note in bar.notes}
    assert {(tick // BAR, tick % BAR, pitch) for tick, pitch in ons} == played
    assert len(ons) == len(set(ons))


def test_what_comes_in_wrong_gets_one_error_each_and_the_music_plays_on() -> None:
    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        client.send("/sideman/system/subscribe", client.port, "/sideman/system/error")
        await client.next("/sideman/system/subscribe")
        wrong: list[tuple[str, tuple[object, ...]]] = [
            ("/sideman/drums/kick_hit", (1,)),
            ("/sideman/drums/kick_hits", (99,)),
            ("/sideman/drums/ghosts", (float("nan"),)),
            ("/sideman/drums/ghosts", ("much",)),
            ("/sideman/drums/ghosts", (b"\x00" * 8000,)),
            ("/sideman/transport/tempo", (5.0,)),
            ("/sideman/transport/meter", ("4/5",)),
            ("/elsewhere", ()),
        ]
        for address, arguments in wrong:
            client.send(address, *arguments)
            message = await client.next("/sideman/system/error")
            assert message.params[0] == address
            assert message.params[1]
        for garbage in (b"", b"#reply", b"\xff" * 65_000, b"/a\0\0,i\0\0", b"#bundle\0" + b"\0" * 11):
            client.send_raw(garbage)
        before = watch.bars[-1].bar if watch.bars else 0
        await watch.until_bar(before + 2)
        client.send("/sideman/drums/kick_hits")
        client.send("/sideman/drums/nothing")
        assert (await client.next("/sideman/system/error")).params

    watch = with_client(scene)
    assert [bar.bar for bar in watch.bars] == list(range(len(watch.bars)))


def test_patterns_bundles_and_verbs() -> None:
    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        client.send("/sideman/system/subscribe", client.port, "/sideman/nothing")
        await client.next("/sideman/system/subscribe")
        bundle = OscBundleBuilder(IMMEDIATELY)
        builder = OscMessageBuilder("/sideman/drums/{kick,snare}_hits")
        builder.add_arg(3)
        bundle.add_content(builder.build())
        client.send_raw(bundle.build().dgram)
        client.send("/sideman/drums/*_hits")
        answers = {}
        for _ in range(3):
            message = await client.next(*(f"/sideman/drums/{v}_hits" for v in ("kick", "snare", "closed_hat")))
            answers[message.address] = message.params[0]
        assert answers["/sideman/drums/kick_hits"] == answers["/sideman/drums/snare_hits"] == 3
        assert answers["/sideman/drums/closed_hat_hits"] == 11
        await watch.until_bar(1)
        client.send("/sideman/drums/hold", 1)
        client.send("/sideman/drums/hold", 0)  # a pad's release
        await watch.until(lambda: watch.bars[-1].outcome == "hold")
        client.send("/sideman/drums/hold")
        await watch.until(lambda: watch.bars[-1].outcome == "hit")

    with_client(scene)


def test_a_worker_killed_ten_times_in_mid_bar_costs_bars_not_notes(tmp_path: Path) -> None:
    file = tmp_path / "out.mid"

    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        player = daemon.players["drums"]
        for _ in range(10):
            made = player.planner.counters.hit
            await watch.until(lambda made=made: player.planner.counters.hit > made and player.worker_pid is not None)  # type: ignore[misc]
            assert player.worker_pid
            os.kill(player.worker_pid, signal.SIGKILL)
            lost = len(watch.lines)
            await watch.until(lambda lost=lost: len(watch.lines) > lost)  # type: ignore[misc]

    watch = with_client(scene, LiveOptions(record=(file,)))
    ons, hanging = onsets(file)
    assert hanging == 0
    assert all(tick % STEP == 0 for tick, _ in ons)
    numbers = [bar.bar for bar in watch.bars]
    assert numbers == list(range(len(numbers)))
    assert sum(line == "drums: the worker died; it is being started again" for line in watch.lines) == 10
    assert sum(watch.bars[-1].counts.values()) == len(numbers)
    assert {bar.outcome for bar in watch.bars} <= {"hit", "repeat"}


def test_a_killed_stage_is_set_up_again_and_plays_on_at_a_bar_line(tmp_path: Path) -> None:
    file = tmp_path / "out.mid"

    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        await watch.until_bar(2)
        assert daemon.stagehand.pid
        os.kill(daemon.stagehand.pid, signal.SIGKILL)
        before = watch.bars[-1].bar
        await watch.until_bar(before + 3)

    watch = with_client(scene, LiveOptions(record=(file,)))
    ons, hanging = onsets(file)
    assert hanging == 0
    assert all(tick % STEP == 0 for tick, _ in ons)
    assert any("choose our ports again" in line for line in watch.lines)
    assert [bar.bar for bar in watch.bars] == sorted({bar.bar for bar in watch.bars})
    assert sum(watch.bars[-1].counts.values()) == watch.bars[-1].bar + 1  # bars that could not be heard are rests


def ended_by(signal_: signal.Signals, file: Path) -> tuple[int, str]:
    """Play as a process of its own, end it by a signal after some bars: its exit status, and all that was said."""
    script = f"""
import asyncio, pathlib, sys
from bridge.daemon import LiveOptions
from bridge.session import run
from bridge.set import PlayerSet, Set
class View:
    def bar(self, shown): print("bar", shown.bar, flush=True)
    def say(self, text): pass
    def playhead(self, step): pass
    def sync(self, text): pass
    def close(self): pass
player = PlayerSet(engine="euclid", bundle="", outputs=("osc",))
set_ = Set(players={{"drums": player}}, seed=1, tempo_bpm=480.0, osc_port=0)
sys.exit(asyncio.run(run(set_, LiveOptions(record=(pathlib.Path({str(file)!r}),)), View())))
"""
    command, pipe = [sys.executable, "-c", script], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as control:
        assert control.stdout
        assert control.stderr
        for line in control.stdout:
            if "bar 3" in line:
                break
        control.send_signal(signal_)
        said = control.stderr.read()  # ends when the last process that inherited it has left
        return control.wait(), said


def test_when_control_is_killed_every_note_ends_and_every_process_leaves(tmp_path: Path) -> None:
    _, said = ended_by(signal.SIGKILL, tmp_path / "out.mid")
    assert "every note was ended" in said
    ons, hanging = onsets(tmp_path / "out.mid")
    assert ons
    assert hanging == 0


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_ended_from_outside_it_leaves_in_order(tmp_path: Path, signal_: signal.Signals) -> None:
    assert ended_by(signal_, tmp_path / "out.mid") == (0, "")
    ons, hanging = onsets(tmp_path / "out.mid")
    assert ons
    assert hanging == 0


def test_a_users_mistake_is_one_error_and_leaves_no_process() -> None:
    for set_, options, reason in (
        (a_set(), LiveOptions(settings=(("drums.kick_hit", "3"),)), "did you mean drums.kick_hits"),
        (a_set(), LiveOptions(settings=(("drums.kick_hits", "300"),)), "kick_hits takes a whole number from 0 to 32"),
        (Set(players={"drums": PlayerSet(engine="euclidean", bundle="")}, seed=1, osc_port=0), LiveOptions(), "euclid"),
    ):
        with pytest.raises(SidemanError, match=reason):
            play(set_, options)


def test_a_taken_port_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        set_ = Set(players=a_set().players, seed=1, osc_port=port)
        with pytest.raises(SidemanError, match=f"OSC port {port} is taken"):
            play(set_, LiveOptions())


def test_stop_continue_and_jump_over_osc(tmp_path: Path) -> None:
    file = tmp_path / "out.mid"

    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        client.send("/sideman/system/subscribe", client.port, "/nothing")
        await watch.until_bar(1)
        client.send("/sideman/transport/playing", 0)
        client.send("/sideman/transport/playing")
        assert list(await client.next("/sideman/transport/playing")) == [0]
        client.send("/sideman/transport/position")
        (stopped_at,) = await client.next("/sideman/transport/position")
        assert 4.0 <= stopped_at < 12.0
        client.send("/sideman/transport/playing", 1)
        await watch.until_bar(3)
        client.send("/sideman/transport/position", 80.0)
        await watch.until_bar(21)
        client.send("/sideman/transport/meter", "7/8")
        await watch.until(lambda: str(watch.bars[-1].meter) == "7/8")
        client.send("/sideman/transport/position", 0)
        await watch.until(lambda: watch.bars[-1].bar == 1)

    watch = with_client(scene, LiveOptions(record=(file,)))
    assert onsets(file)[1] == 0
    numbers = [bar.bar for bar in watch.bars]
    assert numbers[:4] == [0, 1, 2, 3]
    assert {20, 21} <= set(numbers)
    restart = len(numbers) - 1 - numbers[::-1].index(0)
    assert watch.bars[restart].notes == watch.bars[0].notes  # from the top: the same seed, the same music


def a_bundle(folder: Path, trouble: bool = False, licence: str = "") -> Path:
    """A bundle for the engine `troubled`, which needs none of its own."""
    folder.mkdir()
    manifest = Manifest(
        schema=1, name=folder.name, engine="troubled", kind="", version="1", created="", licence=licence, sources=(),
        graphs={}, sha256={}, config={"trouble": True} if trouble else {},
    )  # fmt: skip
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return folder


def test_a_bundle_takes_over_while_it_plays_and_a_broken_one_changes_nothing(troubled: Path, tmp_path: Path) -> None:
    first, second = a_bundle(tmp_path / "first", licence="CC-BY-NC-4.0"), a_bundle(tmp_path / "second", licence="MIT")
    broken = a_bundle(tmp_path / "broken", trouble=True)
    player = PlayerSet(engine="troubled", bundle=str(first), outputs=("osc",))

    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        client.send("/sideman/system/subscribe", client.port, "/sideman/system/error")
        await client.next("/sideman/system/subscribe")
        client.send("/sideman/drums/bundle", "nowhere")
        assert "there is no bundle nowhere" in (await client.next("/sideman/system/error")).params[1]
        client.send("/sideman/drums/bundle", "~nobody/" + "x" * 300)
        assert "there is no bundle" in (await client.next("/sideman/system/error")).params[1]
        client.send("/sideman/drums/bundle", str(broken))
        await watch.until(lambda: any("broken on purpose" in line for line in watch.lines))
        client.send("/sideman/drums/bundle")
        assert list(await client.next("/sideman/drums/bundle")) == [str(first)]
        client.send("/sideman/drums/bundle", str(second))
        await watch.until(lambda: any("second takes over at bar" in line for line in watch.lines))
        await watch.until_bar(watch.bars[-1].bar + 3)

    watch = with_client(scene, set_=Set(players={"drums": player}, seed=1, tempo_bpm=480.0, osc_port=0))
    terms = "drums: its weights are CC-BY-NC-4.0: not for commercial use"
    assert [line for line in watch.lines if "its weights" in line] == [terms]
    assert [bar.notes[0].pitch for bar in watch.bars if bar.outcome == "hit"] == [
        36 + bar.bar % 24 for bar in watch.bars if bar.outcome == "hit"
    ]  # it went on from what had been played


def test_an_engine_that_hangs_costs_repeated_bars(troubled: Path) -> None:
    async def scene(daemon: Daemon, watch: RecordingView, client: Client) -> None:
        client.send("/sideman/drums/trouble", "hang")
        await watch.until(lambda: "drums: the worker hung; it is being started again" in watch.lines)
        client.send("/sideman/drums/trouble", "none")
        await watch.until(lambda: watch.bars[-1].outcome == "hit" and watch.bars[-1].counts["repeat"] > 0)

    player = PlayerSet(engine="troubled", bundle="", outputs=("osc",))
    watch = with_client(scene, set_=Set(players={"drums": player}, seed=1, tempo_bpm=480.0, osc_port=0))
    assert [bar.bar for bar in watch.bars] == list(range(len(watch.bars)))
    assert {bar.outcome for bar in watch.bars} == {"hit", "repeat"}


def test_a_mistake_does_not_touch_an_older_recording(tmp_path: Path) -> None:
    file = tmp_path / "take.mid"
    file.write_bytes(b"an older take")
    with pytest.raises(SidemanError):
        play(a_set(), LiveOptions(record=(file,), settings=(("drums.nothing", "1"),)))
    assert file.read_bytes() == b"an older take"
