"""What tests in several folders share: a JACK server of their own, and the way to run a notebook."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# One thread each for torch and BLAS, before either is loaded: `-n` has a process for each core as it is.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from bridge.testing import JackServer
from bridge.timing.host import keep_time
from engines.errors import SidemanError

LONGEST = (
    "test_live", "test_notes_whole", "test_midi_clock", "test_stream_live", "test_musicgen_whole", "test_musicgen_live",
    "test_musicgen", "test_link", "test_calibrate", "test_texture_shipped", "test_export_lstm",
    "test_jack_inputs", "test_export_remi", "test_notebook", "test_jack_live", "test_jack",
    "test_notes_shipped", "test_codec", "test_attention", "test_export_groove", "test_steering_prepare",
)  # fmt: skip
"""Files that take long, for what they wait for or work out. Others take a few seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: processes that take whole files in turn then end at about the same time."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def _keep_time() -> Iterator[None]:
    """The machine is as wakeful throughout as a performer's is while Sideman plays."""
    with keep_time():
        yield


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JackServer]:
    """A JACK server on the dummy driver, which this process and its children find; skips where there is no jackd."""
    name = f"sideman-test-{os.getpid()}"
    monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
    found = JackServer(name)
    try:
        found.start()
    except SidemanError as error:
        pytest.skip(str(error))
    with _first():
        yield found
    found.stop()


@contextlib.contextmanager
def _first() -> Iterator[None]:
    """This process's main thread, which JACK's thread may have to wait for, goes before other tests where it may."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, before)


class Punctual:
    """Around an assertion of what JACK has to be in time for: where it misses after JACK lost frames, it is skipped."""

    def __init__(self) -> None:
        self.lost = 0

    def watch(self) -> Callable[[int, int], None]:
        """For a client's callback, which tells it the first frame and the count of each cycle: it counts gaps."""
        following: int | None = None

        def cycle(first: int, frames: int) -> None:
            nonlocal following
            self.lost += following is not None and first != following
            following = (first + frames) & 0xFFFFFFFF

        return cycle

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind in (AssertionError, SidemanError) and self.lost:
            pytest.skip(f"JACK lost frames {self.lost} times meanwhile: this machine is too busy to keep time")


@pytest.fixture
def punctual(server: JackServer) -> Iterator[Punctual]:
    """Counts the times that JACK loses frames; to be asked for last."""
    import jack

    found = Punctual()
    cycle = found.watch()
    client = jack.Client("watch", no_start_server=True)
    client.set_process_callback(lambda frames: cycle(client.last_frame_time, frames))
    client.activate()
    yield found
    client.deactivate()
    client.close()


Executed = tuple[str, list[dict[str, Any]]]
"""What a notebook's cells print, and what they show by kind."""


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Executed]:
    """Runs a notebook of docs/notebooks, by its name, in tmp_path / "work"; skips where there is no Jupyter."""
    needs = 'needs the notebook extra: pip install "sideman[notebook]"'
    nbclient = pytest.importorskip("nbclient", reason=needs)
    kernelspec = pytest.importorskip("ipykernel.kernelspec", reason=needs)
    pytest.importorskip("matplotlib", reason=needs)
    nbformat = pytest.importorskip("nbformat", reason=needs)

    root = Path(__file__).parent.parent
    kernelspec.write_kernel_spec(tmp_path / "kernels" / "here")  # this interpreter's, whatever else is installed
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(root))
    work = tmp_path / "work"
    work.mkdir()

    def executed(name: str) -> Executed:
        read = nbformat.read(root / "docs" / "notebooks" / name, as_version=4)
        assert not any(cell.get("outputs") for cell in read.cells), "committed without outputs"
        client = nbclient.NotebookClient(read, timeout=90, kernel_name="here", resources={"metadata": {"path": work}})
        client.execute()
        outputs = [output for cell in read.cells for output in cell.get("outputs", [])]
        return "".join(output.get("text", "") for output in outputs), [output.get("data", {}) for output in outputs]

    return executed
