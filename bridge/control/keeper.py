"""The keeper: writes the set as it is now into its file, for the next time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bridge.control.learn import Learn
from bridge.control.surface import ROOT, Node
from bridge.control.transport import Transport
from bridge.files.setfile import ENDING, SavedPlayer, updated, write_set
from bridge.players.player import Player
from engines.errors import SidemanError

NAME_PATTERN = r"[\w][\w .+-]{0,99}"


class Keeper:
    """Saves a set. file: where it was read from, None for the default set; say: shows a line."""

    def __init__(
        self,
        file: Path | None,
        transport: Transport,
        players: Mapping[str, Player],
        learn: Learn,
        say: Callable[[str], None],
    ) -> None:
        self._file = file
        self._transport = transport
        self._players = players
        self._learn = learn
        self._say = say

    def nodes(self) -> tuple[Node, ...]:
        """Its address."""
        takes = "nothing, or a name for a file beside the set's"
        return (Node(f"{ROOT}/system/save", takes, "write the set as it is now into its file", act=self._save),)

    def _save(self, arguments: tuple[object, ...]) -> None:
        path = self._path(arguments)
        source = self._file if self._file is not None and self._file.exists() else None
        try:
            text = source.read_text(encoding="utf-8") if source is not None else ""
        except (OSError, UnicodeDecodeError) as error:
            raise SidemanError(f"{source} cannot be read any more: {error}") from error
        players = {
            name: SavedPlayer(player.config, player.bundle, player.parameters)
            for name, player in self._players.items()
        }  # fmt: skip
        transport = self._transport
        write_set(path, updated(text, transport.tempo_mbpm / 1000, transport.meter, players, self._learn.table))
        self._file = path
        self._say(f"the set is written to {path}")

    def _path(self, arguments: tuple[object, ...]) -> Path:
        """The set's file, or one beside it by its bare name: who sends it may be anyone on the network."""
        name = arguments[0] if arguments else ""
        if len(arguments) <= 1 and name in ("", 1):
            if self._file is None:
                raise SidemanError("this set has no file yet; send save a name, such as my_set.toml")
            return self._file
        if len(arguments) != 1 or not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
            raise SidemanError("takes the bare name of a file, such as my_set.toml")
        folder = self._file.parent if self._file is not None else Path.cwd()
        return folder / (name if name.endswith(ENDING) else name + ENDING)
