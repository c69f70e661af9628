"""The notebook in docs/ runs from its first cell to its last, on the shipped bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebooks" / "bars.ipynb"


@pytest.mark.filterwarnings("default")  # those of Jupyter's own parts are not ours to mend
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = 'needs the notebook extra: pip install "sideman[notebook]"'
    nbclient = pytest.importorskip("nbclient", reason=needs)
    kernelspec = pytest.importorskip("ipykernel.kernelspec", reason=needs)
    pytest.importorskip("matplotlib", reason=needs)
    import nbformat

    kernelspec.write_kernel_spec(tmp_path / "kernels" / "here")  # this interpreter's, whatever else is installed
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parent.parent.parent))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    work = tmp_path / "work"
    work.mkdir()
    client = nbclient.NotebookClient(notebook, timeout=90, kernel_name="here", resources={"metadata": {"path": work}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = "".join(output.get("text", "") for output in outputs)
    assert "8 bars of 4/4 at 104 bpm" in texts and "kick  " in texts
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html"} <= kinds, "a picture and a player"
    assert (work / "bars.wav").stat().st_size > 100_000
