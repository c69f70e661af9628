"""`sideman doctor`: what works on this machine, what does not, and the remedy."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import platform
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from bridge.commands.ports import sound_devices
from bridge.set import DEFAULT_OSC_PORT
from engines.errors import BundleError, SidemanError

LATENESS_TARGET_US = 500.0
MEASURE_S = 2.0

State = Literal["ok", "without", "broken"]
"""It works; it plays without it; it cannot play."""

MARKS: dict[State, str] = {"ok": "ok     ", "without": "without", "broken": "BROKEN "}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, and what to do about it."""

    name: str
    state: State
    text: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to look."""
    parser.add_argument("--osc-port", type=int, default=DEFAULT_OSC_PORT, metavar="PORT", help="the port to try")


def run(args: argparse.Namespace) -> int:
    """Print a line for each finding as it is made; 1 if this machine cannot play."""
    if not 0 <= args.osc_port <= 65535:
        raise SidemanError(f"--osc-port takes a whole number from 0 to 65535, not {args.osc_port}")
    broken = False
    for check in checks(args.osc_port):
        for finding in check():
            broken |= finding.state == "broken"
            print(f"{MARKS[finding.state]}  {finding.name:<12} {finding.text}")
            if finding.remedy:
                print(f"{'':<21} -> {finding.remedy}", flush=True)
    return int(broken)


def checks(osc_port: int) -> list[Callable[[], Iterable[Finding]]]:
    """Everything that is looked at, in order; the measurement takes two seconds."""
    return [python, runtime, bundles, midi, sound, lambda: osc(osc_port), link, training, host, realtime]


def python() -> Iterable[Finding]:
    """The interpreter and Sideman itself."""
    here = (
        f"Sideman {_version('sideman') or 'not installed'}, Python {platform.python_version()}, {platform.platform()}"
    )
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        yield Finding("python", "broken", here, "use Python 3.11 to 3.14")
    elif sys.prefix == sys.base_prefix:
        yield Finding("python", "ok", f"{here}, outside a virtual environment")
    else:
        yield Finding("python", "ok", here)


def runtime() -> Iterable[Finding]:
    """ONNX Runtime. Its CPU and GPU distributions share a folder and spoil each other."""
    cpu, gpu = _version("onnxruntime"), _version("onnxruntime-gpu")
    if cpu and gpu:
        yield Finding(
            "onnxruntime",
            "broken",
            f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed, in one folder",
            "pip uninstall onnxruntime onnxruntime-gpu, then pip install onnxruntime",
        )
        return
    try:
        import onnxruntime
    except ImportError as error:
        yield Finding("onnxruntime", "broken", f"does not load: {error}", "pip install --force-reinstall onnxruntime")
        return
    providers = ", ".join(onnxruntime.get_available_providers())
    yield Finding("onnxruntime", "ok", f"{onnxruntime.__version__}: {providers}; drums run on one CPU thread")


def bundles() -> Iterable[Finding]:
    """The shipped bundles, verified and loaded into their engines."""
    from engines.bundle import Bundle, shipped
    from engines.registry import engine_class

    folders = list(shipped())
    if not folders:
        yield Finding("bundles", "broken", "none came with this installation", "install sideman again")
    for folder in folders:
        try:
            bundle = Bundle.load(folder)
            engine_class(bundle.manifest.engine).load(bundle)
            yield Finding("bundle", "ok", f"{bundle.manifest.name}, {' '.join(bundle.variants())}, verified")
        except BundleError as error:
            yield Finding("bundle", "broken", str(error), "install sideman again")
        except SidemanError as error:
            yield Finding("bundle", "broken", str(error))


def midi() -> Iterable[Finding]:
    """Every system of MIDI ports."""
    from bridge.stage.midi.systems import WINDOWS_REMEDY, systems
    from bridge.stage.rack import Rack

    found, reasons = systems()
    rack = Rack("sideman look")
    for system in found:
        ports = system.destinations()
        to_play = f"{len(ports)} ports to play to" + (f": {', '.join(ports[:4])}" if ports else "")
        listed = f"{to_play}; {len(system.origins(rack))} to hear"
        if system.virtual:
            yield Finding("MIDI", "ok", f"{system.name}, with ports of our own; {listed}")
        elif any("loop" in name.lower() for name in ports):
            yield Finding("MIDI", "ok", f"{system.name}, on a loop-back port; {listed}")
        else:
            yield Finding("MIDI", "without", f"{system.name} has no ports of our own; {listed}", WINDOWS_REMEDY)
    rack.close()
    for reason in reasons:
        yield Finding("MIDI", "without", reason)
    if not found:
        yield Finding("MIDI", "without", "no MIDI here: it plays to OSC, the terminal, --record and the loudspeaker")


def sound() -> Iterable[Finding]:
    """PortAudio and a device."""
    devices = sound_devices()
    if isinstance(devices, str):
        yield Finding("sound", "without", devices)
    else:
        yield Finding("sound", "ok", f"plays aloud on {devices[0]}")


def osc(port: int) -> Iterable[Finding]:
    """Whether the OSC port is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            remedy = "leave the other program (another sideman?), or use --osc-port with another number"
            yield Finding("OSC", "broken", f"port {port} on 127.0.0.1 cannot be had: {error.strerror}", remedy)
            return
    yield Finding("OSC", "ok", f"port {port} on 127.0.0.1 is free")


def link() -> Iterable[Finding]:
    """Ableton Link; everything else that can be followed needs nothing besides."""
    found = _version("linkpython-extern")
    if found:
        yield Finding("Link", "ok", f"LinkPython-extern {found}")
    else:
        yield Finding("Link", "without", "no Ableton Link", 'to follow it: pip install "sideman[link]"')


def host() -> Iterable[Finding]:
    """What this system has to be asked for to keep time (bridge/timing/host.py)."""
    from bridge.timing.host import keep_time

    here = "" if sys.platform == "linux" else " (not run on this system by its authors)"
    with keep_time() as asked:
        for one in asked:
            if one.granted:
                yield Finding("host", "ok", f"{one.name}: granted{here}")
            else:
                yield Finding("host", "without", f"{one.name}: refused{here}", one.remedy)


def training() -> Iterable[Finding]:
    """The extras; playing needs none."""
    for extra, modules in (
        ("train", ("torch", "onnx", "onnxscript", "matplotlib")),
        ("keras", ("keras", "tensorflow")),
    ):
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            yield Finding(extra, "without", f"no {', '.join(missing)}", f'to train: pip install "sideman[{extra}]"')
        else:
            yield Finding(extra, "ok", ", ".join(f"{name} {_version(name) or '?'}" for name in modules))
    if importlib.util.find_spec("torch") is not None:
        from engines.runtime.torchscript import device_here

        try:
            yield Finding("device", "ok", f"{device_here()}, for the sound of musicgen as torchscript")
        except (SidemanError, OSError) as error:
            yield Finding("device", "without", f"torch does not load: {error}")


def realtime() -> Iterable[Finding]:
    """How late the stage is, measured, and the command that grants it the priority it needs."""
    from bridge.commands.probe import stage_lateness
    from bridge.stage.realtime import REMEDY

    try:
        status = asyncio.run(stage_lateness(MEASURE_S))
    except SidemanError as error:
        yield Finding("on time", "broken", str(error))
        return
    late = f"events leave {status.late_p50_us:.0f} us late at the median, {status.late_p99_us:.0f} at p99"
    if status.realtime:
        slow = status.late_p99_us > LATENESS_TARGET_US
        remedy = "close what keeps this machine busy, and set its power plan to performance" if slow else ""
        yield Finding("on time", "ok", f"{late}, with real-time priority", remedy)
    else:
        remedy = REMEDY if sys.platform == "linux" else ""
        yield Finding("on time", "without", f"{late}, without real-time priority (with it under 500)", remedy)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
