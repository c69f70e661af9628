"""The device for Live: a file that Max can open, of objects that every Max has; a command that writes it."""

import struct

import pytest

from bridge.cli import main
from bridge.clients.live.amxd import packed, unpacked
from bridge.clients.live.device import WIDTH, made
from bridge.clients.live.objects import faults

EXPECTED_KEYS = {"fileversion", "appversion", "boxes", "lines", "openinpresentation", "project"}


def test_the_header_is_a_device_s_and_the_patch_is_json():
    data = made()
    assert data[:12] == b"ampf\x04\0\0\0aaaa"
    assert data[12:24] == b"meta\x04\0\0\0\0\0\0\0"
    assert data[24:28] == b"ptch" and int.from_bytes(data[28:32], "little") == len(data) - 32
    assert data[-1] == 0 and data.count(0, 32) == 1
    patcher, kind = unpacked(data)
    assert kind == b"aaaa" and patcher["patcher"]["project"]["amxdtype"] == 0x61616161
    assert set(patcher["patcher"]) >= EXPECTED_KEYS
    assert packed(patcher, kind) == data == made()


def test_every_object_is_in_every_max_and_every_cord_ends_somewhere():
    patcher = unpacked(made())[0]
    assert faults(patcher) == []
    names = {box["text"].split()[0] for box in boxes(patcher) if box["maxclass"] == "newobj"}
    assert not names & {"js", "v8", "node.script", "node", "jweb", "mxj", "bpatcher", "poly~"}
    assert {"live.path", "live.object", "udpreceive", "udpsend", "plugin~", "plugout~"} <= names


def boxes(patcher):
    return [entry["box"] for entry in patcher["patcher"]["boxes"]]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda p: boxes(p)[0].update(text="OSC-route /x"), "is no object that every Max has"),
        (lambda p: boxes(p)[0].update(numoutlets=3), "has 2 inlets and 2 outlets"),
        (lambda p: boxes(p)[1].update(id="obj-1"), "is there twice"),
        (lambda p: p["patcher"]["lines"][0]["patchline"].update(source=["obj-1", 2]), "outlet 2 of obj-1"),
        (lambda p: p["patcher"]["lines"][0]["patchline"].update(destination=["obj-999", 0]), "inlet 0 of obj-999"),
    ],
)
def test_the_check_finds_what_is_wrong(spoil, complaint):
    patcher = unpacked(made())[0]
    spoil(patcher)
    assert any(complaint in fault for fault in faults(patcher))


@pytest.mark.parametrize("cut", [3, 20, 32, 33, -1])
def test_a_file_that_is_no_device_is_refused(cut):
    with pytest.raises((ValueError, struct.error)):
        unpacked(made()[:cut])


def test_what_is_shown_lies_in_the_device_and_has_a_parameter_of_its_own():
    shown = [box for box in boxes(unpacked(made())[0]) if box.get("presentation")]
    for box in shown:
        x, y, width, height = box["presentation_rect"]
        assert x >= 0 and x + width <= WIDTH and y >= 0 and y + height <= 169
    names = [
        box["saved_attribute_attributes"]["valueof"]["parameter_longname"]
        for box in shown
        if box.get("parameter_enable")
    ]
    assert sorted(names) == ["Beats of a bar", "First slot", "Player", "Port", "Slots", "Start clips"]


def test_the_command_writes_it_and_nothing_over_it(tmp_path, capsys):
    assert main(["clients", str(tmp_path / "new")]) == 0
    assert "Sideman.amxd: for Ableton Live 12" in capsys.readouterr().out
    file = tmp_path / "new" / "Sideman.amxd"
    assert file.read_bytes() == made()
    file.write_bytes(b"mine")
    assert main(["clients", str(tmp_path / "new")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert file.read_bytes() == b"mine"
    assert main(["clients", str(tmp_path / "new"), "--force"]) == 0
    assert file.read_bytes() == made()
