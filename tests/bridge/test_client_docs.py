"""docs/CLIENTS.md, and what docs/ENGINES.md says of audio, hold."""

import re
from pathlib import Path

from bridge.clients.live.device import LISTEN_PORT, NAME
from bridge.players.worker import check_chunk
from bridge.set import DEFAULT_OSC_PORT
from engines.engine import Request
from engines.loopfile import LoopFiles
from engines.music import Meter

ROOT = Path(__file__).parents[2]
CLIENTS = (ROOT / "docs/CLIENTS.md").read_text()


def test_the_engine_of_audio_that_is_shown_plays():
    shown = (ROOT / "docs/ENGINES.md").read_text()
    source = next(block for block in re.findall(r"```python\n(.*?)```", shown, re.S) if "class Hum" in block)
    names: dict = {}
    exec(source, names)  # noqa: S102 - our own documentation
    engine = names["Hum"].load(None)
    request = Request(
        bar=0, start_tick=0, length_ticks=3360, meter=Meter(7, 8), tempo_bpm=97.3, parameters={}, seed=1
    )  # fmt: skip
    loop, _ = engine.generate(request, engine.start(1))
    check_chunk(loop, request)
    assert abs(loop.frames[-1, 0]) < 0.001 < abs(loop.frames).max()


def test_loopfile_s_parameters_are_documented():
    shown = (ROOT / "docs/OSC.md").read_text()
    names = [parameter.name for parameter in LoopFiles.load(None).parameters]
    assert all(f"`/sideman/player/{name}`" in shown for name in names)


def test_what_is_said_of_the_device_is_what_is_made():
    assert NAME in CLIENTS and f"port {DEFAULT_OSC_PORT}" in CLIENTS and f"udpreceive {LISTEN_PORT}" in CLIENTS
    assert "Not run in Live here" in CLIENTS
