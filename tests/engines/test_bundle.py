"""Bundles that must not be loaded, each with the reason in one line; and one that may."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import bundle as bundles
from engines.bundle import MANIFEST, MANIFEST_BYTES_MAX, Bundle, find, non_commercial, sha256_of, shipped
from engines.errors import BundleError


def write(folder: Path, **changes: Any) -> Path:
    """A bundle of one file that is no graph: enough for everything but opening it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "step.onnx").write_bytes(b"weights")
    manifest: dict[str, Any] = {
        "schema": 1,
        "name": folder.name,
        "engine": "drums",
        "kind": "lstm",
        "version": "0.1.0",
        "created": "2026-01-01T00:00:00Z",
        "licence": "CC-BY-4.0",
        "sources": [{"name": "a", "licence": "CC-BY-4.0", "pieces": 3}],
        "graphs": {
            "step": {
                "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 2]}],
                "outputs": [{"name": "y", "dtype": "float32", "shape": [-1, 2]}],
                "files": {"fp32": "step.onnx"},
            }
        },
        "sha256": {"step.onnx": sha256_of(folder / "step.onnx")},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))
    return folder


def test_a_whole_bundle_loads(tmp_path: Path) -> None:
    bundle = Bundle.load(write(tmp_path / "groovy"))
    assert bundle.manifest.name == "groovy"
    assert bundle.manifest.sources[0].pieces == 3
    assert bundle.variants() == ("fp32",)


def change_a_byte(folder: Path) -> None:
    (folder / "step.onnx").write_bytes(b"weightz")


def take_the_file_away(folder: Path) -> None:
    (folder / "step.onnx").unlink()


def garbage(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\x00{")


def deep(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"[" * 100_000)


def huge(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b" " * (MANIFEST_BYTES_MAX + 1))


def a_list(folder: Path) -> None:
    (folder / MANIFEST).write_text("[]")


def edited(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: (folder / MANIFEST).write_text(
        json.dumps(json.loads((folder / MANIFEST).read_text()) | changes)
    ) and None  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (change_a_byte, r"step.onnx is not the file its manifest names .*get it again"),
        (take_the_file_away, r"step.onnx is missing"),
        (garbage, r"is not JSON"),
        (deep, r"is not JSON"),
        (huge, r"is over 1048576 bytes"),
        (a_list, r"is not JSON"),
        (edited(schema=2, graphs=None), r"has schema 2, this version reads up to 1: upgrade sideman"),
        (edited(schema="1"), r"has no schema number"),
        (edited(graphs=[1]), r"export the bundle again"),
        (edited(name=None), r"name"),
        (edited(sha256={}), r"graph step names step.onnx, which has no SHA-256"),
        (edited(sha256={"../outside": "0"}), r"\.\./outside lies outside the bundle"),
        (edited(sha256={"/etc/hostname": "0"}), r"lies outside the bundle"),
    ],
)
def test_a_damaged_bundle_says_what_is_wrong(tmp_path: Path, damage: Callable[[Path], None], reason: str) -> None:
    (tmp_path / "outside").write_bytes(b"")
    folder = write(tmp_path / "b")
    damage(folder)
    with pytest.raises(BundleError, match=reason) as caught:
        Bundle.load(folder)
    assert "\n" not in str(caught.value)


def test_a_link_that_leaves_the_bundle_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "b")
    (tmp_path / "elsewhere").write_bytes(b"weights")
    (folder / "step.onnx").unlink()
    try:
        (folder / "step.onnx").symlink_to(tmp_path / "elsewhere")
    except OSError:
        pytest.skip("this system makes no symbolic links")
    with pytest.raises(BundleError, match="lies outside the bundle"):
        Bundle.load(folder)


def test_a_graph_is_asked_for_by_name_and_variant(tmp_path: Path) -> None:
    bundle = Bundle.load(write(tmp_path / "b"))
    with pytest.raises(BundleError, match="has no graph stride"):
        bundle.graph("stride")
    with pytest.raises(BundleError, match="has no torchscript variant of step; it has fp32"):
        bundle.graph("step", "torchscript")
    with pytest.raises(BundleError, match=r"step.onnx cannot be opened by ONNX Runtime"):
        bundle.graph("step")


def test_a_graph_and_its_manifest_must_agree_on_the_tensors(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx comes with the train extra")
    folder = write(tmp_path / "b")
    tensors = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (None, 2)) for name in "xy"]
    nodes = [onnx.helper.make_node("Neg", ["x"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", tensors[:1], tensors[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "step.onnx")
    entry = json.loads((folder / MANIFEST).read_text())["graphs"]["step"]
    digest = {"step.onnx": sha256_of(folder / "step.onnx")}
    edited(sha256=digest)(folder)
    (negative,) = Bundle.load(folder).graph("step")(x=np.ones((3, 2), np.float32))
    assert (negative == -1).all()
    for side, name in (("outputs", "z"), ("inputs", "w")):
        wrong = entry | {side: [entry[side][0] | {"name": name}]}
        edited(sha256=digest, graphs={"step": wrong})(folder)
        with pytest.raises(BundleError, match=f"disagree about the tensor {name}"):
            Bundle.load(folder).graph("step")


def test_find_takes_a_folder_or_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "shipped" / "swing")
    monkeypatch.setattr(bundles, "shipped_folder", lambda: tmp_path / "shipped")
    assert [path.name for path in shipped()] == ["swing"]
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "swing")
    assert find("swing") == tmp_path / "shipped" / "swing"
    assert find("./swing") == Path("swing")
    assert find(str(write(tmp_path / "mine"))) == tmp_path / "mine"
    with pytest.raises(BundleError, match="there is no bundle swong: give a folder, or one of swing"):
        find("swong")


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("CC-BY-NC-4.0", True),
        ("cc by-nc-sa 4.0", True),
        ("PolyForm Noncommercial 1.0.0", True),
        ("research, non-commercial", True),
        ("CC-BY-4.0", False),
        ("MIT", False),
        ("NCSA", False),
        ("", False),
    ],
)
def test_weights_that_are_not_for_commercial_use_are_told_by_their_licence(licence: str, told: bool) -> None:
    assert non_commercial(licence) is told
