"""`sideman midi`: bars in .jsonl to .mid (or sound), and .mid to .jsonl."""

from __future__ import annotations

import argparse
from pathlib import Path

from bridge.files import song as songs
from bridge.files.song import SongBar, check_path, plain, write_song
from engines.errors import SidemanError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to read, where to write."""
    parser.add_argument("file", type=Path, help="bars in .jsonl, or a .mid file with drums on channel 10")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".mid, .jsonl or .wav")
    parser.add_argument("--vocab", type=Path, metavar="JSON", help="vocab_topN.json, for bars written as tokens")
    parser.add_argument("--bpm", type=float, help="tempo, instead of the file's (120 where it has none)")
    songs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Convert. Raises SidemanError naming the file and what is wrong with it."""
    check_path(args.output)
    songs.check_arguments(args)
    if args.file.suffix == ".jsonl":
        from bridge.files.jsonl import read_lines

        song = read_lines(args.file, args.vocab)
    elif args.file.suffix in (".mid", ".midi"):
        from bridge.files.midiread import read_midi

        song = read_midi(args.file)
    else:
        raise SidemanError(f"{args.file} has no ending that tells what it holds; give a .jsonl or a .mid file")
    if args.bpm is not None:
        song = [SongBar(bar.meter, args.bpm, bar.phrase) for bar in song]
    song = [plain(bar, args.velocity, args.note_length) for bar in song]
    write_song(args.output, song, args.soundfont)
    print(f"{args.output}: {len(song)} bars")
    return 0
