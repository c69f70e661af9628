"""A player of audio in a set: its loops are kept in phrases, told by OSC, and lie in a folder."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import numpy as np
import soundfile
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.daemon import Daemon, LiveOptions
from bridge.players.grid import BarSpan
from bridge.players.plan import Plan, fitted, offer_of, spliced
from bridge.set import PlayerSet, Set
from bridge.testing import RecordingView
from engines.audio import frames_in
from engines.music import LoopFile, Meter, Note, Phrase

LOOP = LoopFile("/loops/keys_0001_120bpm_1bar.wav", 48_000, 96_000, 2, 3840, 120_000)
HIT = Note(0, 36, 100, 10)


def test_a_bar_that_comes_again_brings_its_loop() -> None:
    span = BarSpan(1, 3840, Meter())
    last = Phrase(3840, loop=LOOP)
    assert offer_of(Plan(span), "repeat", last, None).phrase.loop == LOOP
    assert offer_of(Plan(span), "repeat", last, None).outcome == "repeat"
    assert offer_of(Plan(span), "alternate", None, last).phrase.loop == LOOP
    assert offer_of(Plan(span), "rest", last, last).phrase == Phrase(3840)
    for late in ("repeat", "rest"):
        again = offer_of(Plan(span, phrase=Phrase(3840, loop=LOOP, cut_tick=0), state=7), late, None, None)
        assert (again.outcome, again.phrase.loop, again.state) == ("repeat", LOOP, 7)
    assert offer_of(Plan(span, kept=last), "repeat", None, None).phrase.loop == LOOP


def test_in_a_bar_of_another_length_a_loop_is_cut_or_ends_before_it() -> None:
    assert fitted(Phrase(3840, (HIT,), LOOP), 2880) == Phrase(2880, (HIT,), LOOP)
    assert fitted(Phrase(3840, (), LOOP), 4800) == Phrase(4800, (), LOOP)


def test_a_loop_that_sounds_goes_on_through_a_fill() -> None:
    other = LoopFile("/loops/other.wav", 48_000, 96_000, 2, 3840, 120_000)
    fill = Phrase(3840, (HIT, Note(1920, 38, 100, 10)), other)
    assert spliced(Phrase(3840, (HIT,), LOOP), fill, 960) == Phrase(3840, (HIT, Note(1920, 38, 100, 10)), LOOP)


def session(
    folder: Path, loops: str, bars: int, stems: Path | None = None
) -> tuple[RecordingView, list[OscMessage], Daemon]:
    """Play a folder of loops for some bars; what was said, what came by OSC, and the daemon that is closed."""
    player = PlayerSet(engine="loopfile", bundle=str(folder), outputs=("osc",))
    set_ = Set(players={"keys": player}, seed=1, tempo_bpm=480.0, osc_port=0, loops=loops)
    heard: list[OscMessage] = []

    async def play() -> tuple[RecordingView, Daemon]:
        view = RecordingView()
        daemon = Daemon(set_, LiveOptions(bars=bars, stems=stems), view)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            client.setblocking(False)
            try:
                starting = asyncio.create_task(daemon.start())
                while daemon.osc.port == 0:
                    await asyncio.sleep(0)
                client.sendto(
                    OscMessageBuilder("/sideman/system/subscribe").build().dgram, ("127.0.0.1", daemon.osc.port)
                )
                await starting
                await daemon.wait()
                for path in filter(None, (_path(client, heard) for _ in range(200))):
                    assert Path(path).is_file()
            finally:
                await daemon.close()
        return view, daemon

    view, daemon = asyncio.run(play())
    return view, heard, daemon


def _path(client: socket.socket, heard: list[OscMessage]) -> str:
    try:
        heard.append(OscMessage(client.recv(1 << 16)))
    except BlockingIOError:
        return ""
    return heard[-1].params[1] if heard[-1].address == "/sideman/keys/loop" else ""


def test_each_bar_s_file_is_told_ahead_and_stays_in_the_folder_of_the_set(tmp_path: Path) -> None:
    folder, loops = tmp_path / "mine", tmp_path / "loops"
    folder.mkdir()
    frames = np.random.default_rng(0).uniform(-0.5, 0.5, (frames_in(4 * 3840, 480.0, 48_000), 2)).astype(np.float32)
    soundfile.write(folder / "funk_480bpm.wav", frames, 48_000, subtype="FLOAT")
    (folder / "bad.wav").write_text("no sound")
    (tmp_path / "stems").mkdir()
    view, heard, _ = session(folder, str(loops), 4, tmp_path / "stems")
    told = [message.params for message in heard if message.address == "/sideman/keys/loop"]
    assert [params[0] for params in told] == [0, 1, 2, 3]
    assert all(params[2:] == [480.0, 4.0] for params in told)
    assert not [message for message in heard if message.address == "/sideman/keys/bar"]
    played = np.concatenate([soundfile.read(params[1], dtype="float32")[0] for params in told])
    assert np.array_equal(played, frames)
    stem, _ = soundfile.read(tmp_path / "stems" / "keys.wav", dtype="float32")
    assert np.abs(stem[: len(frames)] - frames).max() < 1e-4, "rounded to 16 bits"
    assert "keys: bad.wav cannot be read: Format not recognised; it is left out" in view.lines
    assert len(list((loops / "keys").iterdir())) == 4


def test_without_one_in_the_set_the_folder_goes_with_the_session(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hum_480bpm.wav", np.full((24_000, 1), 0.5, np.float32), 48_000, subtype="FLOAT")
    _, heard, daemon = session(tmp_path, "", 3)
    paths = [Path(message.params[1]) for message in heard if message.address == "/sideman/keys/loop"]
    assert len(paths) == 3
    assert not paths[0].parent.parent.exists()
    daemon.loops.close()
