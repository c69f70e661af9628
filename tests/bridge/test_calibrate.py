"""calibrate finds a delay that the test itself inserts, over a loop-back on JACK."""

from __future__ import annotations

import argparse
import contextlib
import threading
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.commands import calibrate
from bridge.commands.calibrate import set_latency
from bridge.commands.ears import frame_times_ns
from bridge.files.setread import load_set
from bridge.testing import JackServer
from engines.errors import SidemanError

jack = pytest.importorskip("jack", reason="the JACK library is not here", exc_type=OSError)


SET = """\
tempo = 100   # as loud as it gets

[players.drums]
outputs = ["midi:Loop", "midi:Other"]

[outputs."midi:Other"]   # the big synth
clock = true
"""


NEAR_MS = 3.0
"""What is found may be off by so much: a tenth of the delays here. A busy machine's JACK tells the time no better."""


class Delay:
    """A JACK client that passes MIDI and sound on, each message and sample so many frames later."""

    def __init__(self, frames: int, name: str = "Loop") -> None:
        self._delay = frames
        self._client = jack.Client(name, no_start_server=True)
        self._midi_in = self._client.midi_inports.register("midi in")
        self._midi_out = self._client.midi_outports.register("midi out")
        self._in = self._client.inports.register("in")
        self._out = self._client.outports.register("out")
        self._midi: deque[tuple[int, bytes]] = deque()
        self._line = np.zeros(frames, np.float32)
        self._closing = threading.Event()
        self._wiring: threading.Thread | None = None
        self._client.set_process_callback(self._process)
        self._client.activate()

    def _process(self, frames: int) -> None:
        start = self._client.last_frame_time
        for offset, data in self._midi_in.incoming_midi_events():
            self._midi.append((start + offset + self._delay, bytes(data)))
        self._midi_out.clear_buffer()
        while self._midi and self._midi[0][0] < start + frames:
            at, data = self._midi.popleft()
            self._midi_out.write_midi_event(max(0, at - start), data)
        line = np.concatenate([self._line, self._in.get_array()])
        self._out.get_array()[:] = line[:frames]
        self._line = line[frames:]

    def hear(self, pattern: str) -> None:
        """Connect itself to the first port that matches, whenever there is one."""

        def connect() -> None:
            while not self._closing.wait(0.05):
                with contextlib.suppress(jack.JackError):  # it goes, or its client is not active yet
                    found = self._client.get_ports(pattern, is_audio=True, is_output=True)
                    if found and found[0] not in self._client.get_all_connections(self._in):
                        self._client.connect(found[0], self._in)

        self._wiring = threading.Thread(target=connect)
        self._wiring.start()

    def close(self) -> None:
        self._closing.set()
        if self._wiring:
            self._wiring.join()
        self._client.deactivate()
        self._client.close()


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    calibrate.add_arguments(parser)
    return calibrate.run(parser.parse_args(words))


@pytest.mark.jack
def test_a_known_delay_of_midi_is_found_and_made_up_for(
    server: JackServer, closing: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], punctual: Any
) -> None:
    frames = 1777
    closing(Delay(frames))
    file = tmp_path / "my.toml"
    file.write_text(SET)
    with punctual:
        assert run("midi:Loop", str(file), "--input", "Loop") == 0
    said = capsys.readouterr().out
    print(said)
    before, after = (line.split() for line in said.splitlines()[1:3])
    assert (before[0], after[0]) == ("before:", "after:")
    with punctual:
        assert float(before[1]) == pytest.approx(frames / 48, abs=NEAR_MS)
        assert float(after[1]) < NEAR_MS
        assert load_set(file).outputs["midi:Loop"].latency_ms == pytest.approx(frames / 48, abs=NEAR_MS)


@pytest.mark.jack
def test_a_known_delay_of_sound_is_found_and_made_up_for(
    server: JackServer, closing: Any, capsys: pytest.CaptureFixture[str], punctual: Any
) -> None:
    frames = 1234
    closing(Delay(frames)).hear("sideman sound:.*left")
    with punctual:
        assert run("audio:jack", "--input", "audio:jack:Loop") == 0
    said = capsys.readouterr().out
    print(said)
    before, after = (line.split() for line in said.splitlines()[1:3])
    assert (before[0], after[0]) == ("before:", "after:")
    with punctual:
        assert float(before[1]) == pytest.approx(frames / 48, abs=NEAR_MS)
        assert float(after[1]) < NEAR_MS


def test_only_the_latency_is_written_into_the_set_file(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(SET)
    set_latency(file, "midi:Loop", 12.34)
    assert file.read_text() == SET + '\n[outputs."midi:Loop"]\nlatency_ms = 12.34\n'
    set_latency(file, "midi:Loop", -5.0)
    set_latency(file, "midi:Other", 2.5)
    outputs = load_set(file).outputs
    assert outputs["midi:Loop"].latency_ms == -5.0
    assert (outputs["midi:Other"].latency_ms, outputs["midi:Other"].clock) == (2.5, True)
    assert "# the big synth" in file.read_text() and "# as loud as it gets" in file.read_text()


@pytest.mark.jack
def test_what_is_not_there_is_one_line_with_what_is(server: JackServer, closing: Any) -> None:
    closing(Delay(100))
    with pytest.raises(SidemanError, match=r"--input: waiting for a port that matches 'organ'; .*Loop:midi out"):
        run("midi:Loop", "--input", "organ")
    with pytest.raises(SidemanError, match="no MIDI port matches 'organ'"):
        run("midi:organ", "--input", "Loop")
    with pytest.raises(SidemanError, match=r"no port matches 'organ'; there are:.*Loop:out"):
        run("midi:Loop", "--input", "audio:jack:organ")


def test_frames_lie_on_a_straight_line_in_time() -> None:
    random = np.random.default_rng(1)
    frames = list(range(0, 480_000, 512))
    times_ns = [10**12 + round(frame * 1e9 / 48_000 * (1 + 80e-6) + random.normal(0, 1e6)) for frame in frames]
    (found,) = frame_times_ns(frames, times_ns, np.asarray([240_000]))
    assert found == pytest.approx(10**12 + 5e9 * (1 + 80e-6), abs=2e5)
    with pytest.raises(SidemanError, match="there is no output organ"):
        run("organ", "--input", "audio")
