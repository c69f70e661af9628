"""JACK's transport with klick as its timebase master, which plays clicks at a tempo and tells bar, beat and tick."""

import shutil
import subprocess
import sys
import time

import pytest

from bridge.messages.message import Trouble
from bridge.messages.stage import OutputSetup, Piece, Play, PlayerSetup, Setup, Tempo
from bridge.messages.sync import SourcePlays, SourceState, SourceStops, SyncSetup
from bridge.testing import StageProcess, until

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)

RATE = 48_000


@pytest.fixture
def stage(server):
    player = PlayerSetup("drums", (OutputSetup("osc", "127.0.0.1:9"),))
    found = StageProcess(Setup("sideman", (player,), 120_000, SyncSetup("jack")))
    found.wait_for(SourceState)
    yield found
    found.close()


@pytest.fixture
def transport(server):
    client = jack.Client("test", no_start_server=True)
    yield client
    client.transport_stop()
    client.close()


@pytest.fixture
def klick(server, transport):
    if not shutil.which("klick"):
        pytest.skip("there is no klick here (on Debian and Ubuntu: sudo apt install klick)")
    process = subprocess.Popen(["klick", "-t", "-T", "97.3"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: transport.transport_query()[1].get("beats_per_minute", 0) >= 97, "klick's tempo")
        yield
    finally:
        process.terminate()
        process.wait()


def behind_ms(stage, transport, bpm):
    """How far the stage is behind the transport, at several moments, in ms."""
    found = []
    for _ in range(20):
        stage.listen(0.05)
        before_ns = time.perf_counter_ns()
        frame = transport.transport_frame  # reckoned on from the cycle's start
        at_ns = (before_ns + time.perf_counter_ns()) // 2
        ticks = frame / RATE * bpm / 60 * 960 - stage.song_tick_at(at_ns)
        found.append(ticks * 60_000 / bpm / 960)
    return sorted(found)


def test_we_start_stop_and_move_with_klick(stage, transport, klick):
    transport.transport_start()
    plays = stage.wait_for(SourcePlays)
    stage.tell(Play(1, plays.position_tick, at_ns=plays.at_ns))
    stage.wait_for(SourceState, lambda state: state.locked and state.tempo_mbpm == 97_300)
    stage.listen(1.0)
    assert abs(stage.tempo_mbpm - 97_300) <= 1
    behind = behind_ms(stage, transport, 97.3)
    assert -0.5 < behind[len(behind) // 2] < 0.5
    transport.transport_frame = RATE * 30
    moved = stage.wait_for(SourcePlays, lambda message: message is not plays)
    assert moved.position_tick >= 30 * 97.3 / 60 * 960
    stage.tell(Play(2, moved.position_tick, at_ns=moved.at_ns))
    stage.listen(1.0)
    behind = behind_ms(stage, transport, 97.3)
    assert -0.5 < behind[len(behind) // 2] < 0.5
    transport.transport_stop()
    stage.wait_for(SourceStops)


def test_without_a_timebase_master_the_tempo_is_ours(stage, transport):
    transport.transport_frame = RATE
    transport.transport_start()
    plays = stage.wait_for(SourcePlays)
    assert plays.position_tick >= 960 * 2  # a second at 120 bpm
    stage.tell(Play(1, plays.position_tick, at_ns=plays.at_ns))
    stage.listen(0.5)
    behind = behind_ms(stage, transport, 120)
    assert -0.5 < behind[len(behind) // 2] < 0.5
    stage.tell(Tempo(150_000))
    stage.wait_for(SourceState, lambda state: state.tempo_mbpm == 150_000)
    assert stage.tempo_mbpm == 150_000
    transport.transport_stop()
    stage.wait_for(SourceStops)
    stage.tell(Tempo(90_000))
    stage.wait_for(Piece, lambda piece: piece.tempo_mbpm == 90_000)  # also while it stands


def roll():
    """Start the transport from another process: a client whose server was killed may take its own process with it."""
    program = "import jack; c = jack.Client('roll', no_start_server=True); c.transport_start(); c.close()"
    subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.DEVNULL)


def test_a_server_that_dies_leaves_the_tempo_and_the_next_is_followed(stage, server):
    roll()
    plays = stage.wait_for(SourcePlays)
    stage.tell(Play(1, plays.position_tick, at_ns=plays.at_ns))
    stage.listen(0.5)
    server.stop(kill=True)
    stage.wait_for(Trouble, lambda trouble: trouble.text == "JACK's transport is gone; holding 120 bpm")
    before = stage.song_tick_at(time.perf_counter_ns())
    stage.listen(0.5)
    assert stage.song_tick_at(time.perf_counter_ns()) > before + 900  # it plays on
    server.start()
    stage.wait_for(Trouble, lambda trouble: trouble.text == "JACK's transport is back")
    roll()
    again = stage.wait_for(SourcePlays, lambda message: message is not plays)
    assert again.position_tick < 960
