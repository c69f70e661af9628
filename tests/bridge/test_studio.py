"""`sideman studio` in a real browser: bars are made, seen as a piano roll, and downloaded."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import pytest

pytest.importorskip("gradio", reason='the page needs the studio extra: pip install "sideman[studio]"')
playwright = pytest.importorskip("playwright.sync_api", reason="the page is driven by playwright, of the dev extra")

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "bridge.cli", "studio", "groove", "notes", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+/) is the studio of groove, notes", line)
        assert found, line
        yield found[1]
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()


@pytest.fixture
def page(url: str) -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(accept_downloads=True)
        page.set_default_timeout(WAIT_MS)
        page.goto(url)
        yield page
        browser.close()


@pytest.mark.parametrize("name", ["groove", "notes"])
def test_bars_are_made_seen_and_downloaded(page: Any, tmp_path: Path, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    tab = page.get_by_role("tabpanel").filter(visible=True)
    tab.get_by_label("seed").fill("5")
    tab.get_by_role("button", name="make bars").click()
    roll = tab.locator("svg.roll")
    roll.wait_for()
    marks = roll.locator(".note").count()
    assert marks > 8
    assert "8 bars" in tab.get_by_label("made").input_value()
    with page.expect_download() as download:
        tab.get_by_role("link", name="download MIDI").or_(tab.get_by_role("button", name="download MIDI")).first.click()
    file = tmp_path / "bars.mid"
    download.value.save_as(file)
    notes = [m for track in mido.MidiFile(file).tracks for m in track if m.type == "note_on" and m.velocity > 0]
    assert len(notes) == marks
