"""The worker as a process, and as the object inside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from bridge.channel import Channel, ChannelClosedError, module_command, pair
from bridge.files.loopwav import write_loop
from bridge.messages.worker import Failed, FromWorker, Generate, Load, Made, Prime, Primed, WorkerReady
from bridge.players.worker import NICENESS, REMARK_CHARACTERS_MAX, REMARKS_MAX, check_chunk, load
from engines.audio import Loop
from engines.bundle import shipped_folder
from engines.engine import Played, Request
from engines.errors import SidemanError
from engines.music import LoopFile, Meter, Note, Phrase


class Process:
    """A worker process and our end of its channel."""

    def __init__(self, load: Load) -> None:
        mine, theirs = pair()
        command = module_command("bridge.players.worker", theirs.fileno())
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
        theirs.close()
        accepts: Any = FromWorker
        self.channel = Channel(mine, accepts)
        self.channel.send(load)

    def ask(self, message: Prime | Generate) -> Primed | Made | Failed:
        self.channel.send(message)
        answer: Primed | Made | Failed = self.channel.first()
        return answer

    def close(self) -> str:
        self.channel.close()
        self.process.wait(10)
        assert self.process.stderr
        with self.process.stderr as stream:
            return stream.read().decode()


@pytest.fixture
def worker(troubled: Path) -> Iterator[Process]:
    process = Process(Load("troubled", "", "auto", 1))
    assert isinstance(process.channel.first(), WorkerReady)
    yield process
    process.close()


def request(trouble: str = "none", bar: int = 0) -> Request:
    return Request(
        bar=bar,
        start_tick=bar * 3840,
        length_ticks=3840,
        meter=Meter(),
        tempo_bpm=120.0,
        parameters={"trouble": trouble},
    )


def test_ready_says_what_it_is_and_only_then_steps_back(troubled: Path) -> None:
    process = Process(Load("troubled", "", "auto", 1))
    ready = process.channel.first()
    assert [parameter.name for parameter in ready.parameters] == ["trouble"]
    assert ready.description == "troubled"
    assert 0.0 < ready.bar_p99_s < 1.0
    assert isinstance(process.ask(Generate(1, 0, request())), Made)
    if hasattr(os, "getpriority"):
        assert os.getpriority(os.PRIO_PROCESS, process.process.pid) >= NICENESS
    assert process.close() == ""
    assert process.process.returncode == 0


def test_any_bar_can_be_made_again_from_a_state_that_is_kept(worker: Process) -> None:
    first = worker.ask(Generate(1, 0, request()))
    second = worker.ask(Generate(2, 1, request(bar=1), keep=(1,)))
    again = worker.ask(Generate(3, 1, request(bar=1), keep=(2,)))
    assert isinstance(first, Made)
    assert isinstance(second, Made)
    assert isinstance(again, Made)
    assert first.phrase.notes[0].pitch == 36
    assert second.phrase == again.phrase == Phrase(3840, (Note(0, 37, 100, 100),))
    forgotten = worker.ask(Generate(4, 999, request()))
    assert forgotten == Failed(4, "state 999 is no longer kept")


def test_primed_with_what_was_played_it_goes_on_from_there(worker: Process) -> None:
    history = (Played(Meter(), Phrase(3840)),) * 5
    assert worker.ask(Prime(7, history)) == Primed(7)
    made = worker.ask(Generate(8, 7, request(bar=5)))
    assert isinstance(made, Made)
    assert made.phrase.notes[0].pitch == 41


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        ("raise", "ZeroDivisionError: first line second line"),
        ("mistake", "turn it down"),
        ("exit", "SystemExit: 3"),
        ("length", "3841 ticks instead of 3840"),
        ("outside", "outside its span"),
        ("float", "no Python int"),
        ("notes", "5000 notes"),
        ("none_at_all", "NoneType instead of a Phrase"),
    ],
)
def test_an_engine_in_trouble_costs_one_answer(worker: Process, trouble: str, text: str) -> None:
    failed = worker.ask(Generate(1, 0, request(trouble)))
    assert isinstance(failed, Failed)
    assert text in failed.text
    assert "\n" not in failed.text
    assert isinstance(worker.ask(Generate(2, 0, request())), Made)


def test_what_an_engine_remarks_comes_with_its_answer_and_no_more_of_it_than_can_be_read(worker: Process) -> None:
    troubles = ("none", "speak", "choke", "babble", "none")
    said = [worker.ask(Generate(1, 0, request(trouble))).said for trouble in troubles]
    assert said[:3] == [(), ("speak",), ("its remarks cannot be had: ValueError: no words",)]
    assert len(said[3]) == REMARKS_MAX
    assert {len(line) for line in said[3]} == {REMARK_CHARACTERS_MAX}
    assert said[4] == ()


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("trouble", "there is no engine trouble; did you mean troubled?"),
        ("reserved", "calls a parameter hold, a reserved name"),
        ("gone", "engine gone cannot be imported"),
    ],
)
def test_an_engine_that_cannot_be_loaded_is_told_in_one_line(troubled: Path, engine: str, text: str) -> None:
    process = Process(Load(engine, "", "auto", 1))
    failed = process.channel.first()
    assert isinstance(failed, Failed)
    assert failed.id == 0
    assert text in failed.text
    with pytest.raises(ChannelClosedError):
        process.channel.first()
    assert process.close() == ""


def test_an_engine_is_told_its_device() -> None:
    message = Load("drums", str(shipped_folder() / "groove"), "auto", 1, device="mps")
    with pytest.raises(SidemanError, match='the engine drums runs on the CPU alone: leave out device = "mps"'):
        load(message)


def test_it_runs_on_this_python() -> None:
    assert module_command("x", 3)[0] == sys.executable


@pytest.mark.parametrize(
    ("loop", "text"),
    [
        (Loop(np.zeros((96_000, 1), np.float32), 48_000, 3839), "3839 ticks instead of 3840"),
        (Loop(np.zeros((95_000, 1), np.float32), 48_000, 3840), "95000 frames instead of 96000"),
        (Loop(np.full((96_000, 1), np.inf, np.float32), 48_000, 3840), "not finite"),
        (Loop(np.zeros((96_000, 10), np.float32), 48_000, 3840), "one or two channels"),
        (Phrase(3840, loop=LoopFile("/etc/passwd", 1, 1, 1, 3840, 1)), "audio is returned as a Loop"),
    ],
)
def test_a_loop_that_cannot_be_played_is_refused(loop: Loop | Phrase, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check_chunk(loop, request())


def test_a_loop_comes_as_its_file(tmp_path: Path) -> None:
    process = Process(Load("loopfile", "", "auto", 1, str(tmp_path / "loops" / "keys"), 64))
    ready = process.channel.first()
    assert ready.description == "loopfile"
    assert not (tmp_path / "loops").exists(), "the bars of the warm-up are nobody's"
    values = {parameter.name: parameter.default for parameter in ready.parameters}
    made = process.ask(Generate(1, 0, structs.replace(request(), tempo_bpm=97.3, parameters=values)))
    assert isinstance(made, Made)
    path = tmp_path / "loops" / "keys" / "keys_0001_97.3bpm_1bar.wav"
    assert made.phrase == Phrase(3840, (), LoopFile(str(path), 48_000, 118_397, 1, 3840, 97_300))
    assert path.is_file()
    assert process.close() == ""
    assert not (tmp_path / "loops").exists(), "control has gone, and the session with it"


def test_a_loop_for_which_there_is_no_folder_costs_one_answer(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for loops, text in (("", "no folder for loops"), (str(tmp_path / "taken" / "keys"), "cannot be written to")):
        process = Process(Load("loopfile", "", "auto", 1, loops))
        values = {parameter.name: parameter.default for parameter in process.channel.first().parameters}
        failed = process.ask(Generate(1, 0, structs.replace(request(), parameters=values)))
        assert isinstance(failed, Failed)
        assert text in failed.text
        process.close()


def test_what_cannot_be_played_of_a_folder_is_told_when_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    write_loop(tmp_path / "good.wav", Loop(np.full((48_000, 1), 0.5, np.float32), 48_000, 1920), 120_000, Meter())
    process = Process(Load("loopfile", str(tmp_path), "auto", 1))
    ready = process.channel.first()
    assert ready.description == f"loopfile · {tmp_path.name}"
    assert ready.troubles == ("bad.wav cannot be read: Format not recognised; it is left out",)
    process.close()
