"""The command line: quick to start, one line for a mistake, and nobody else's packages."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bridge import cli
from bridge.commands import live
from engines.errors import SidemanError
from engines.music import Meter

ROOT = Path(cli.__file__).parent.parent

HEAVY = {
    "numpy", "onnxruntime", "torch", "tensorflow", "keras", "matplotlib", "mido", "rtmidi", "pythonosc", "sounddevice",
    "jack", "msgspec", "asyncio",
}  # fmt: skip


def sideman(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bridge.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    script = (
        "import json, sys\n"
        "from bridge.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as stop:\n    print(json.dumps([stop.code, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    code, modules = json.loads(result.stderr)
    assert code == 0
    assert not HEAVY & set(modules)
    for command in (*cli.COMMANDS, *cli.OFFLINE):
        assert f"\n    {command} " in result.stdout


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    parser = cli._parser([command])
    with pytest.raises(SystemExit) as stop:
        parser.parse_args([command, "--help"])
    assert stop.value.code == 0


def test_every_offline_command_is_there() -> None:
    for command, (_, engines) in cli.OFFLINE.items():
        for engine, module in engines.items():
            path = ROOT / Path(*module.split("."))
            assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), f"{command} {engine}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["liv"], "there is no command 'liv'; did you mean live?"),
        (["train", "drum"], "there is no engine 'drum'; did you mean drums?"),
        (["live", "--bmp", "90"], "--bmp"),
        (["live", "none.toml"], "there is no set file none.toml"),
        (["live", "--bpm", "nan"], "--bpm takes a number from 20 to 999"),
        (["live", "--bpm", "1000"], "--bpm takes a number from 20 to 999, not 1000"),
        (["live", "--bars", "0"], "--bars takes"),
        (["live", "--seed", "-1"], "--seed takes"),
        (["live", "--osc-port", "70000"], "--osc-port takes"),
        (["live", "--record", "take.mp3"], "--record take.mp3: end the name in .mid or .wav"),
        (["live", "--record", "nowhere/take.mid"], "there is no folder nowhere"),
        (["live", "--player", "drums"], "write it like --player drums=groove"),
        (["live", "--player", "drums=grove"], "there is no bundle grove"),
        (["live", "--set", "temperature"], "write it like --set temperature=0.9"),
        (["bundles", "nowhere"], "nowhere is no bundle"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = cli.main(arguments)
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr().err
    assert status == 2
    assert says in said
    assert said.count("\n") == 1


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

    monkeypatch.setattr(cli, "_run", run)
    assert cli.main(["train", "drums"]) == 2
    assert 'pip install "sideman[train]"' in capsys.readouterr().err


def test_a_bug_is_not_taken_for_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'bridge.nowhere'", name="bridge.nowhere")

    monkeypatch.setattr(cli, "_run", run)
    with pytest.raises(ModuleNotFoundError):
        cli.main([])


def test_another_package_of_the_same_name_is_refused(tmp_path: Path) -> None:
    intruder = tmp_path / "export"
    intruder.mkdir()
    (intruder / "__init__.py").write_text("__version__ = '9.9'\n")
    script = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; from bridge.cli import main; main([])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert str(intruder / "__init__.py") in result.stderr and "environment of its own" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_four_packages_carry_one_version() -> None:
    assert len({cli._version(name) for name in cli.PACKAGES}) == 1


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", run)
    assert cli.main([]) == 130


def live_arguments(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    live.add_arguments(parser)
    return parser.parse_args(arguments)


def test_live_s_options_go_before_the_set_file(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('tempo = 90\nmeter = "7/8"\nseed = 3\nosc_port = 9000\n[players.beat]\noutputs = ["osc"]\n')
    plain = live.chosen_set(live_arguments(str(file)))
    assert (plain.tempo_bpm, plain.meter, plain.seed, plain.osc_port) == (90.0, Meter(7, 8), 3, 9000)
    other = live.chosen_set(
        live_arguments(str(file), "--bpm", "140", "--meter", "3/4", "--seed", "8", "--osc-port", "9100", "--lan")
    )
    assert (other.tempo_bpm, other.meter, other.seed, other.osc_port, other.lan) == (140.0, Meter(3, 4), 8, 9100, True)
    assert list(other.players) == ["beat"]


def test_live_plays_aloud_unless_it_is_to_be_silent() -> None:
    assert live.chosen_set(live_arguments()).players["drums"].outputs == ("midi", "osc", "audio:unheard")
    assert live.chosen_set(live_arguments("--silent")).players["drums"].outputs == ("midi", "osc")


def test_set_without_a_player_is_for_all() -> None:
    assert live.settings(["swing=.5", "b.swing = 1"], ("a", "b")) == (
        ("a.swing", ".5"), ("b.swing", ".5"), ("b.swing", "1"),
    )  # fmt: skip
    with pytest.raises(SidemanError, match="--set =3: write it like"):
        live.settings(["=3"], ("a",))
