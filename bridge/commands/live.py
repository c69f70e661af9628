"""`sideman live`: the set that the file and the command line ask for, played by the daemon."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

import msgspec

from bridge.files.setread import load_set
from bridge.set import (
    SEED_MAX,
    TEMPO_BPM_HIGH,
    TEMPO_BPM_LOW,
    PlayerSet,
    Runtime,
    Set,
    add_player,
    check_plugins,
    default_set,
    parse_meter,
    parse_sync,
)
from engines.errors import SidemanError

RECORD_ENDINGS = (".mid", ".wav")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to play, and how it differs from the set file."""
    parser.add_argument("file", nargs="?", type=Path, metavar="SET", help="a set file (`sideman init` writes one)")
    parser.add_argument("--bars", type=int, metavar="N", help="leave after so many bars")
    parser.add_argument("--bpm", type=float, metavar="B", help="tempo, 20 to 999")
    parser.add_argument("--meter", metavar="M", help="metre, such as 7/8")
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed plays the same music")
    parser.add_argument("--sync", metavar="SOURCE", help="who leads the tempo: internal, link, jack or midi:PORT")
    parser.add_argument("--record", type=Path, action="append", default=[], metavar="FILE",
                        help="write what leaves to a .mid or .wav file; may be given several times")  # fmt: skip
    parser.add_argument("--stems", type=Path, metavar="FOLDER",
                        help="write the sound of each player to a .wav of its own there")  # fmt: skip
    parser.add_argument("--player", action="append", default=[], metavar="NAME=BUNDLE",
                        help="add a player, or give one of the set another bundle (or folder of loops)")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="[PLAYER.]NAME=VALUE",
                        help="set a parameter, of all players if none is named")  # fmt: skip
    parser.add_argument("--runtime", choices=get_args(Runtime), help="which graphs of the bundles to run")
    parser.add_argument("--osc-port", type=int, metavar="PORT", help="where OSC comes in (9720)")
    parser.add_argument("--lan", action="store_true", help="take OSC from other machines too")
    parser.add_argument("--quiet", action="store_true", help="show no bars")
    parser.add_argument("--silent", action="store_true", help="do not play aloud")


def run(args: argparse.Namespace) -> int:
    """Play until the last bar, `q` or Ctrl-C. Raises SidemanError."""
    set_ = chosen_set(args)
    if args.bars is not None and args.bars < 1:
        raise SidemanError(f"--bars takes a whole number from 1, not {args.bars}")
    for path in args.record:
        check_record(path)
    if args.stems is not None:
        check_stems(args.stems)

    import asyncio

    from bridge.daemon import LiveOptions
    from bridge.session import run as play
    from bridge.terminal.view import open_view
    from bridge.timing.host import keep_time

    options = LiveOptions(
        bars=args.bars,
        record=tuple(args.record),
        stems=args.stems,
        settings=settings(args.set, tuple(set_.players)),
        keys=not args.quiet and sys.stdin.isatty(),
        playhead=not args.quiet and sys.stdout.isatty(),
        file=args.file,
    )
    # Windows' own loop cannot watch sockets of ours
    with keep_time(), asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(play(set_, options, open_view(quiet=args.quiet)))


def chosen_set(args: argparse.Namespace) -> Set:
    """The set file, or the default set, with what the command line says instead. Raises SidemanError."""
    set_ = default_set() if args.file is None else load_set(args.file)
    for text in args.player:
        set_ = _with_player(set_, text)
    changes = {
        "tempo_bpm": None if args.bpm is None else _between("--bpm", args.bpm, TEMPO_BPM_LOW, TEMPO_BPM_HIGH),
        "seed": None if args.seed is None else int(_between("--seed", args.seed, 0, SEED_MAX)),
        "osc_port": None if args.osc_port is None else int(_between("--osc-port", args.osc_port, 0, 65535)),
        "meter": None if args.meter is None else parse_meter(args.meter),
        "sync": None if args.sync is None else parse_sync(args.sync),
        "lan": args.lan or None,
    }
    set_ = msgspec.structs.replace(set_, **{name: value for name, value in changes.items() if value is not None})
    set_ = _with_players(set_, args.runtime, aloud=not args.silent)
    check_plugins(set_)
    return set_


def settings(texts: list[str], players: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """--set as (player.parameter, value); without a player it is for all. Raises SidemanError for other forms."""
    found = []
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise SidemanError(f"--set {text}: write it like --set temperature=0.9 or --set drums.temperature=0.9")
        names = [name] if "." in name else [f"{player}.{name}" for player in players]
        found += [(name, value) for name in names]
    return tuple(found)


def check_record(path: Path) -> None:
    """Raise SidemanError, before a note is played, if nothing could be recorded there."""
    if path.suffix.lower() not in RECORD_ENDINGS:
        raise SidemanError(f"--record {path}: end the name in {' or '.join(RECORD_ENDINGS)}")
    if not path.parent.is_dir():
        raise SidemanError(f"--record {path}: there is no folder {path.parent}; make it first")


def check_stems(folder: Path) -> None:
    """Make the folder. Raises SidemanError if that cannot be done."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SidemanError(f"--stems {folder}: the folder cannot be made: {error.strerror}") from error


def _with_player(set_: Set, text: str) -> Set:
    from engines.bundle import find
    from engines.registry import engine_for

    name, equals, bundle = text.partition("=")
    if not equals or not bundle:
        raise SidemanError(f"--player {text}: write it like --player drums=groove")
    engine = engine_for(find(bundle))
    before = set_.players.get(name, PlayerSet())
    return add_player(set_, name, msgspec.structs.replace(before, engine=engine, bundle=bundle))


def _with_players(set_: Set, runtime: Runtime | None, aloud: bool) -> Set:
    players = {
        name: msgspec.structs.replace(
            player,
            runtime=player.runtime if runtime is None else runtime,
            outputs=_outputs(player.outputs, aloud),
        )
        for name, player in set_.players.items()
    }
    return msgspec.structs.replace(set_, players=players)


def _outputs(outputs: tuple[str, ...], aloud: bool) -> tuple[str, ...]:
    """With the loudspeaker, where the set does not say it, until something else is heard; or without."""
    others = tuple(output for output in outputs if output.partition(":")[0] != "audio")
    if not aloud:
        return others
    return outputs if others != outputs else (*outputs, "audio:unheard")


def _between(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise SidemanError(f"{name} takes a number from {low:g} to {high:g}, not {value:g}")
    return value
