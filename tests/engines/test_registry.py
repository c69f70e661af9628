"""Engines by entry point: ours is found the way anyone's is."""

from __future__ import annotations

import pytest

from engines.bundle import shipped_folder
from engines.drums import DrumEngine
from engines.errors import SidemanError
from engines.registry import engine_class, engine_names, opened


def test_ours_is_one_of_those_installed() -> None:
    assert "drums" in engine_names()
    assert engine_class("drums") is DrumEngine


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all() -> None:
    with pytest.raises(SidemanError, match=r"there is no engine drum; did you mean drums\?"):
        engine_class("drum")
    with pytest.raises(SidemanError, match=r"there is no engine xyz; there are .*drums"):
        engine_class("xyz")


def test_a_device_is_for_engines_that_have_the_choice() -> None:
    groove = shipped_folder() / "groove"
    with pytest.raises(SidemanError, match='the engine drums runs on the CPU alone: leave out device = "cuda"'):
        opened("drums", groove, device="cuda")
    assert isinstance(opened("drums", groove, device="cpu")[0], DrumEngine)
