"""The `sideman` command: finds the one module that a command needs and hands over to it.

A command is a module with `add_arguments(parser)` and `run(args) -> int`. Only the one asked for is imported, so that
`sideman --help` needs argparse alone. This is the only module of the bridge that may load offline and export.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

PACKAGES = ("engines", "offline", "export", "bridge")

COMMANDS = {
    "live": "play a set, live",
    "generate": "make bars with a bundle, faster than real time, into a .mid, .jsonl or .wav file",
    "studio": "a page in the browser that makes bars with any bundle",
    "midi": "turn bars in .jsonl into .mid, or .mid into .jsonl",
    "init": "write a commented set file",
    "clients": "write the device for Ableton Live",
    "bundles": "list the bundles there are, and verify them",
    "ports": "list MIDI ports and sound devices, to play to and to hear",
    "calibrate": "measure how late an output sounds, and make up for it",
    "latency": "say how long it is from asking to hearing, for each player and output",
    "doctor": "say what works on this machine, what does not, and the remedy",
    "check": "hold an engine of your own against the rules",
    "bench": "measure speed and size here, each against its target",
}
"""Name to what it does; its module is the one of that name in bridge/commands."""

OWN = {("generate", "musicgen"): "bridge.commands.generate_musicgen"}
"""Commands that are another module's for an engine whose music is no bars."""

OFFLINE = {
    "prepare": (
        "make a data set of MIDI or audio files, or of synthesised examples",
        {
            "drums": "offline.drums.prepare",
            "notes": "offline.notes.prepare",
            "steering": "offline.steering.prepare",
            "musicgen": "offline.musicgen.prepare",
        },
    ),
    "train": (
        "train a model",
        {
            "drums": "offline.drums.train",
            "notes": "offline.notes.train",
            "steering": "offline.steering.train",
            "codec": "offline.musicgen.codec.train",
            "musicgen": "offline.musicgen.decoder.train",
        },
    ),
    "evaluate": (
        "measure checkpoints and bundles against baselines",
        {
            "drums": "offline.drums.evaluate",
            "notes": "offline.notes.evaluate",
            "codec": "offline.musicgen.codec.evaluate",
            "musicgen": "offline.musicgen.decoder.evaluate",
            "steering": "offline.steering.judge.evaluate",
        },
    ),
    "export": (
        "make a verified bundle from a checkpoint",
        {"drums": "export.drums", "musicgen": "export.musicgen", "notes": "export.notes"},
    ),
}
"""Name to (what it does, module for each engine)."""

EXTRAS = {
    "train": (
        "fluidsynth",
        "matplotlib",
        "miditok",
        "onnx",
        "onnxscript",
        "pyarrow",
        "scipy",
        "sklearn",
        "symusic",
        "torch",
        "yaml",
        "zstandard",
    ),
    "studio": ("gradio",),
    "keras": ("h5py", "keras", "tensorflow", "tf2onnx"),
}
"""Extra of pyproject.toml to the modules it brings."""


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaint is one line, with the nearest command for a mistyped one."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status. 2 is a user's mistake, told in one line; 130 is Ctrl-C."""
    try:
        _check_packages()
        return _run(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left (sideman bundles | head); Python would complain at exit
        return 141
    except ModuleNotFoundError as error:
        extra = next((extra for extra, modules in EXTRAS.items() if (error.name or "").split(".")[0] in modules), None)
        if extra is None:
            raise
        return _mistake(f'{error.name} is not installed; it comes with: pip install "sideman[{extra}]"')
    except OSError as error:
        if error.filename is None:
            raise
        return _mistake(f"{error.filename}: {error.strerror}")


def _run(argv: list[str]) -> int:
    from engines.errors import SidemanError

    try:
        args = _parser(argv).parse_args(argv)
        status: int = args.module.run(args)
        return status
    except SidemanError as error:
        return _mistake(str(error))


def _parser(argv: Sequence[str]) -> Parser:
    """The parser for this command line: every command is listed, only the one that is asked for is imported."""
    words = [*[word for word in argv if not word.startswith("-")][:2], "", ""]
    parser = Parser(prog="sideman", description="Trained music models that sit in with a live performer.")
    parser.add_argument("-V", "--version", action="version", version=f"sideman {_version('bridge')}")
    commands = _choices(parser, "COMMAND", words[0], [*COMMANDS, *OFFLINE])
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=_sentence(about))
        if name == words[0]:
            _fill(command, OWN.get((name, words[1]), f"bridge.commands.{name}"))
    for name, (about, engines) in OFFLINE.items():
        command = commands.add_parser(name, help=about, description=_sentence(about))
        if name == words[0]:
            choices = _choices(command, "ENGINE", words[1], list(engines))
            for engine, module in engines.items():
                sub = choices.add_parser(engine, help=f"{about}, for {engine}", description=_sentence(about))
                if engine == words[1]:
                    _fill(sub, module)
    return parser


def _choices(parser: Parser, metavar: str, word: str, names: list[str]) -> Any:
    """Sub-commands of a parser; a mistyped one is answered with the nearest."""
    if word and word not in names:
        near = difflib.get_close_matches(word, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        parser.exit(2, f"{parser.prog}: there is no {metavar.lower()} {word!r}; {hint}\n")
    return parser.add_subparsers(metavar=metavar, required=True, title=f"{metavar.lower()}s")


def _fill(parser: Parser, module_name: str) -> None:
    module = importlib.import_module(module_name)
    module.add_arguments(parser)
    parser.set_defaults(module=module)


def _check_packages() -> None:
    """Other distributions may install packages of the same names over ours (docs/ARCHITECTURE.md, Packaging)."""
    for name in PACKAGES:
        try:
            version = _version(name)
        except ImportError:
            version = None
        if version != _version("bridge"):
            file = getattr(sys.modules.get(name), "__file__", None) or name
            print(
                f"sideman: {file} is not Sideman's {name}; install sideman in an environment of its own, "
                "such as with: pipx install sideman",
                file=sys.stderr,
            )
            sys.exit(2)


def _version(package: str) -> str | None:
    version: str | None = getattr(importlib.import_module(package), "__version__", None)
    return version


def _sentence(about: str) -> str:
    return about[0].upper() + about[1:] + "."


def _mistake(message: str) -> int:
    print("sideman:", " ".join(message.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
