"""`sideman init`: writes a commented set file, which plays what the default set plays."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import SidemanError

DEFAULT_FILE = "set.toml"

TEMPLATE = """\
# A set for `sideman live {name}`. Every line may be left out: what stands here is what you get without it.

tempo = 120            # beats a minute, 20 to 999
meter = "4/4"          # any from 2/4 to 7/8
# seed = 1             # the same seed plays the same music; left out, each start draws a new one and shows it
sync = "internal"      # who leads the tempo: "internal", "link" (Ableton Link), "jack" (its transport), or
                       # "midi:PORT", the MIDI clock that comes to an input below or from a port with that name
start_stop_sync = false   # with Link: start and stop together with the others
quantum = 4            # with Link: beats after which downbeats meet
count_in = 0           # bars of clicks before the first
loops = ""             # folder that players of audio write their loops to, for Live and Max; "" is one that goes again
osc_port = 9720        # where OSC comes in, on this machine only ...
lan = false            # ... or, with true, from phones and other machines too

# What is played into Sideman: an input with port = "" is a port of our own called like it, else one that exists.
# [inputs.keys]
# port = ""
# channel = 0          # 1 to 16, or 0 for all
# thru = ""            # a player, whose outputs get what is played here

# What a controller or a note of an input does: `learned` is written here by /sideman/system/save.
# [[learned]]
# input = "keys"
# channel = 1
# control = 74         # or: note = 36
# address = "drums/temperature"

# What holds of an output for all players that name it.
# [outputs."midi:Some Port"]
# latency_ms = 0.0     # how late it sounds; it is sent that much earlier (`sideman calibrate` finds it)
# clock = false        # send MIDI clock, start and stop there

# One table for each player; its name is also that of its MIDI port and of its OSC addresses.
[players.drums]
engine = "drums"
bundle = "groove"      # a shipped one (`sideman bundles` lists them) or a folder of your own
runtime = "auto"       # or "int4", "int8", "fp32", "torchscript"
# device = "auto"      # of musicgen with torchscript: CUDA, else MPS, else the CPU; or "cuda", "mps", "cpu"
outputs = ["midi", "osc"]   # "midi" opens a port of its own, "midi:NAME" plays to one that exists (`sideman ports`);
                            # "audio" is the loudspeaker, which plays anyway while nothing else does (not with --silent)
channel = 10           # MIDI channel; 10 is the drums'
chunk = "bar"          # what is made and played at a time; "beat" or "half-beat": what is turned is heard sooner
hears = []             # whose notes it listens to: inputs by name, other players as "player:NAME"
channels = {{}}          # of a player with several parts: {{ bass = 2 }} sends the bass on channel 2, not on its own, 5
programs = {{}}          # "gm": each part's channel is told its General MIDI program; or {{ piano = 4, bass = 38 }}

# Any parameter of the player, as it is to stand when it starts.
[players.drums.parameters]
style = "any"
density = -1           # 0 to 1; below 0 it is the model's choice
temperature = 1.0      # 0 to 2: how unlikely what is new may be
variation = 0.0        # -4 to 4: less or more that is new
swing = 0.0            # 0 to 1
humanise = 1.0         # 0 is a machine
tap = false            # true: play the rhythm that was heard in the last bar, on drums of its choice
lock = 0.0             # 0 to 1: how much of the kick goes with the bass that is heard
# trade_listen = 4     # of any player: listen so many bars, then ...
# trade_answer = 4     # ... answer so many; 0 does not trade
# kick_mute = false    # likewise for snare, closed_hat, open_hat, floor_tom, mid_tom, high_tom, crash and ride
# kick_chance = 1.0
# kick_velocity = 1.0

# A band of pitched parts, which listens to what you play and to the drums.
# [players.keys]
# bundle = "notes"
# channel = 1          # of what is passed on to it with thru; its parts have channels of their own
# hears = ["keys", "player:drums"]

# A player of your own loops: WAV, OGG and FLAC files, with their tempo in their names (funk_97bpm.wav).
# [players.loops]
# engine = "loopfile"
# bundle = "~/Music/loops"
# outputs = ["audio", "osc"]

# MIDI notes for a drum module that is not General MIDI; what is not named keeps its General MIDI note.
[players.drums.map]
kick = 36
snare = 38
closed_hat = 42
open_hat = 46
floor_tom = 43
mid_tom = 47
high_tom = 50
crash = 49
ride = 51
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file to write."""
    parser.add_argument("file", nargs="?", type=Path, default=Path(DEFAULT_FILE), help=f"default: {DEFAULT_FILE}")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(args: argparse.Namespace) -> int:
    """Write the file. Raises SidemanError if it is there already or cannot be written."""
    file: Path = args.file
    try:
        with file.open("w" if args.force else "x", encoding="utf-8") as stream:
            stream.write(TEMPLATE.format(name=file))
    except FileExistsError as error:
        raise SidemanError(f"{file} is there already; name another file, or write over it with --force") from error
    except OSError as error:
        raise SidemanError(f"{file} cannot be written: {error.strerror}") from error
    print(f"{file} is written; edit it, then: sideman live {file}")
    return 0
