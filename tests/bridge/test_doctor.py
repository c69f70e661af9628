"""doctor finds what is there and names the remedy; ports and bundles list what there is."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from bridge.commands import bundles, doctor, ports
from bridge.commands.doctor import Finding
from engines.bundle import Manifest


def one(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_free_osc_port_and_a_taken_one() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        taken = one(doctor.osc(port))
        assert taken.state == "broken" and str(port) in taken.text and "--osc-port" in taken.remedy
    assert one(doctor.osc(port)).state == "ok"


def test_both_onnxruntimes_are_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(doctor.runtime()).state == "ok"
    info = tmp_path / "onnxruntime_gpu-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    both = one(doctor.runtime())
    assert both.state == "broken" and "pip uninstall onnxruntime onnxruntime-gpu" in both.remedy


def test_every_way_out_is_found_or_its_lack_explained() -> None:
    found = (*doctor.midi(), *doctor.sound(), *doctor.python(), *doctor.link(), *doctor.training(), *doctor.host())
    for finding in found:
        assert finding.text and finding.state != "broken"


def test_the_device_that_would_be_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra train")
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        (found,) = (each for each in doctor.training() if each.name == "device")
        assert found.state == "ok" and found.text.startswith("cuda," if there else "cpu,")


def test_lateness_is_measured_on_a_real_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MEASURE_S", 0.5)
    finding = one(doctor.realtime())
    assert finding.state in ("ok", "without")
    assert "us late at the median" in finding.text
    if "without real-time" in finding.text:
        assert "rtprio" in finding.remedy


def test_ports_prints_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert ports.run(argparse.Namespace()) == 0
    printed = capsys.readouterr().out
    assert "sound:" in printed and ("MIDI:" in printed or "port" in printed)


def test_a_broken_bundle_is_named_and_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bundles.run(argparse.Namespace(folder=[tmp_path])) == 2
    assert f"{tmp_path} is no bundle" in capsys.readouterr().err


def test_weights_that_are_not_for_commercial_use_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, licence in (("free", "CC-BY-4.0"), ("bound", "CC-BY-NC-4.0")):
        (tmp_path / name).mkdir()
        manifest = Manifest(
            schema=1, name=name, engine="drums", kind="", version="1", created="", licence=licence, sources=(),
            graphs={}, sha256={},
        )  # fmt: skip
        (tmp_path / name / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    assert bundles.run(argparse.Namespace(folder=[tmp_path / "free", tmp_path / "bound"])) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  weights")]
    assert lines[0].startswith("  weights CC-BY-4.0; learned from")
    assert lines[1].startswith("  weights CC-BY-NC-4.0, not for commercial use; learned from")
