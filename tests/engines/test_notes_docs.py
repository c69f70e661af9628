"""What can be turned on a player of notes is told in docs/NOTES.md."""

import re
from pathlib import Path

from engines.notes.parameters import parameters_for

PAGE = (Path(__file__).parents[2] / "docs" / "NOTES.md").read_text(encoding="utf-8")


def test_every_parameter_is_in_the_table_and_nothing_else() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    modes = next(p for p in parameters_for(()) if p.name == "follow").choices
    assert set(named) == {p.name for p in parameters_for(())} | set(modes)
