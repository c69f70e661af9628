"""The terminal view: what is drawn, where, and that nothing from outside can steer the terminal."""

from __future__ import annotations

import os
import pty
import re
import select
from dataclasses import replace
from pathlib import Path

from bridge.terminal.grids import grid, one_line
from bridge.terminal.view import LineView, PanelView, ShownBar, heading, open_view
from engines.music import Meter, Note
from engines.notes.roles import ROLE_NAMED

BEAT = 960


def bar(number: int = 0, player: str = "drums", meter: Meter | None = None) -> ShownBar:
    notes = (
        Note(-60, 36, 110, 120),  # an early downbeat
        Note(0, 42, 60, 120),
        Note(BEAT, 38, 90, 120),
        Note(BEAT + 250, 38, 30, 120),  # a ghost, ten ticks late
        Note(2 * BEAT, 36, 100, 120),
        Note(2 * BEAT, 60, 100, 120),  # no drum
    )
    meter = Meter(4, 4) if meter is None else meter
    return ShownBar(player, number, meter, 120.0, notes, "hit", 0.96, {"hit": number, "hold": 1, "rest": 0})


class Screen:
    """What was written; `shown` plays back the few escapes we use."""

    def __init__(self) -> None:
        self.text = ""
        self.full = False

    def write(self, text: str, needed: bool) -> bool:
        if not self.full:
            self.text += text
        return not self.full

    def shown(self) -> list[str]:
        lines, row = [""], 0
        for part in re.findall(r"\x1b\[\d*[A-Za-z]|\n|[^\x1b\n]+", self.text):
            if part == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part.endswith("F") and part.startswith("\x1b"):
                row -= int(part[2:-1])
            elif part == "\x1b[2K":
                lines[row] = ""
            elif part == "\x1b[J":
                lines[row:] = [""]
            else:
                lines[row] += part
        return [line.rstrip() for line in lines if line.strip()]


def size() -> os.terminal_size:
    return os.terminal_size((80, 24))


def test_a_bar_is_nine_lines_with_a_gap_at_each_beat() -> None:
    lines = grid(Meter(4, 4), bar().notes)
    assert len(lines) == 9
    assert lines[-1] == "      kick  X--- ---- x--- ----"
    assert lines[-2] == "     snare  ---- xo-- ---- ----"
    assert lines[3] == "closed hat  x--- ---- ---- ----"


def test_other_metres_have_their_own_beats() -> None:
    assert one_line(Meter(7, 8), bar().notes) == "K- -- SS -- K- -- --"
    assert one_line(Meter(3, 4), ()) == "---- ---- ----"


def test_one_line_shows_the_instrument_that_matters_most() -> None:
    assert one_line(Meter(4, 4), bar().notes) == "K--- SS-- K--- ----"


def test_elsewhere_than_on_a_terminal_a_bar_is_one_plain_line(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as stream:
        view = open_view(stream)
        view.bar(bar(11))
        view.playhead(3)
        view.close()
        (line,) = (tmp_path / "out").read_text().splitlines()
    assert line == "drums bar 12   4/4 120 bpm  hit    headroom  96%  12 hit, 0 late  K--- SS-- K--- ----"


def test_quiet_says_only_what_must_be_said(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as stream:
        view = open_view(stream, quiet=True)
        view.bar(bar())
        view.say("the stage was restarted")
        view.close()
        assert (tmp_path / "out").read_text() == "the stage was restarted\n"


def test_the_panel_is_drawn_in_place_and_follows_the_playhead() -> None:
    screen = Screen()
    view = PanelView(screen.write, size)
    view.bar(bar(0))
    view.playhead(5)
    view.bar(bar(1))
    view.playhead(4)
    lines = screen.shown()
    assert len(lines) == 11
    assert lines[0] == heading(bar(1))
    assert lines[-1] == " " * 17 + "^"  # below the first step of the second beat
    assert lines[-2].index("X") == 12


def test_behind_the_counts_stands_how_long_the_last_change_took() -> None:
    assert heading(bar(3)).endswith("late")
    assert heading(replace(bar(3), response_ms=231.4)).endswith("late  fader 231 ms")


def test_how_a_source_is_followed_stands_above_the_bars_and_goes_with_it() -> None:
    screen = Screen()
    view = PanelView(screen.write, size)
    view.sync("sync link: locked, 97.3 bpm, +0.00 ms, 2 peers")
    view.bar(bar(0))
    view.sync("sync link: locked, 97.3 bpm, +0.01 ms, 2 peers")
    lines = screen.shown()
    assert lines[0] == "sync link: locked, 97.3 bpm, +0.01 ms, 2 peers"
    assert lines[1] == heading(bar(0))
    view.sync("")
    assert screen.shown()[0] == heading(bar(0))


def test_what_is_said_scrolls_above_the_panel() -> None:
    screen = Screen()
    view = PanelView(screen.write, size)
    view.bar(bar())
    view.say("density 0.6")
    view.bar(bar(1))
    lines = screen.shown()
    assert lines[0] == "density 0.6"
    assert lines[1] == heading(bar(1))
    assert len(lines) == 12


def test_many_players_are_a_line_each() -> None:
    screen = Screen()
    view = PanelView(screen.write, size)
    for name in ("ann", "bob", "cat"):
        view.bar(bar(0, name))
    lines = screen.shown()
    assert [line for line in lines if "headroom" in line] == [heading(bar(0, name)) for name in ("ann", "bob", "cat")]
    assert len(lines) == 7


def test_a_frame_that_was_left_out_does_not_spoil_the_next() -> None:
    screen = Screen()
    view = PanelView(screen.write, size)
    view.bar(bar(0))
    screen.full = True
    view.bar(bar(1))
    view.say("unread")
    screen.full = False
    view.bar(bar(2))
    assert screen.shown()[0] == heading(bar(2))
    assert len(screen.shown()) == 11


def test_what_comes_from_outside_cannot_steer_the_terminal() -> None:
    screen = Screen()
    for view in (LineView(screen.write), PanelView(screen.write, size)):
        view.say("no such address /\x1b]0;owned\x07\r\nx")
        assert "\x1b]" not in screen.text and "\x07" not in screen.text
        assert "/ ]0;owned   x" in screen.text
        screen.text = ""


def test_a_reader_that_has_left_does_not_stop_the_music() -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as stream:  # noqa: PTH123  (a descriptor, no path)
        view = open_view(stream)
        for number in range(3):
            view.bar(bar(number))
        view.close()


def test_a_terminal_that_takes_no_more_is_not_waited_for() -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:  # noqa: PTH123
        view = open_view(terminal)
        for number in range(2000):  # far more than a terminal's buffer, and nobody reads
            view.bar(bar(number))
            view.say("x" * 100)
        while select.select([ours], [], [], 0.2)[0]:  # now it is read, and what was kept comes whole
            last = os.read(ours, 65536)
        view.close()
    assert last.endswith(b"\x1b[J")
    os.close(ours)


def test_a_band_has_a_line_for_each_seat_that_plays() -> None:
    drums, bass, piano = (ROLE_NAMED[name] + 1 for name in ("drums", "bass", "piano"))
    notes = (
        Note(0, 36, 100, 60, drums),
        Note(0, 40, 90, 960, bass),
        Note(0, 60, 80, 480, piano),
        Note(10, 64, 80, 480, piano),
        Note(1920, 66, 80, 5000, piano),
    )
    assert grid(Meter(4, 4), notes) == [
        "     piano  E.-- ---- f... ....",
        "      bass  E... ---- ---- ----",
        "     drums  x--- ---- ---- ----",
    ]
    assert one_line(Meter(4, 4), notes) == "4--- ---- 1--- ----"
    assert grid(Meter(4, 4), (), band=True) == []
    assert len(grid(Meter(4, 4), ())) == 9
