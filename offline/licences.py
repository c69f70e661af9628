"""Licences: of what was learned from data under several."""

from __future__ import annotations

from collections.abc import Iterable

SYNTHESISED = "synthesised"
"""Instead of a licence: nobody's work but the program's that made it."""

_SPDX = {"GPL-2.0+": "GPL-2.0-or-later", "GPL-3.0+": "GPL-3.0-or-later", "GPL-2.0": "GPL-2.0-only",
         "GPL-3.0": "GPL-3.0-only"}  # fmt: skip


def expression(licences: Iterable[str]) -> str:
    """The licence of weights learned from data: an SPDX expression that asks for the terms of all of it.

    Whether weights are a work derived from the data is not settled; this is the cautious reading of it.
    """
    told = {_SPDX.get(licence, licence) or "unknown" for licence in licences} - {SYNTHESISED}
    return " AND ".join(sorted(told)) or "unknown"
