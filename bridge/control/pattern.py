"""OSC address patterns (Open Sound Control 1.0, "OSC Message Dispatching and Pattern Matching").

`?` is any character, `*` any run of them, `[a-c]` and `[!abc]` a character of a set, `{kick,snare}` one of some words;
none of them crosses a `/`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from engines.errors import SidemanError

PATTERN_CHARACTERS = frozenset("?*[]{}")
PATTERN_LENGTH_MAX = 256
WORDS_MAX = 64
"""Bounds for patterns from outside: a longer one, or one with more alternatives, is refused."""


def is_pattern(address: str) -> bool:
    """True if an address has any character that only patterns have."""
    return not PATTERN_CHARACTERS.isdisjoint(address)


def check_pattern(pattern: str) -> None:
    """Raise SidemanError for a pattern out of bounds."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise SidemanError(f"the pattern is over {PATTERN_LENGTH_MAX} characters long")
    if any(_words(part) is None for part in pattern.split("/")):
        raise SidemanError(f"the pattern has a {{ without a }}, or more than {WORDS_MAX} alternatives")


def matches(pattern: str, address: str) -> bool:
    """True if the address is one that the pattern stands for; one out of bounds stands for none."""
    wanted, parts = pattern.split("/"), address.split("/")
    if len(wanted) != len(parts) or len(pattern) > PATTERN_LENGTH_MAX:
        return False
    return all(
        any(fnmatchcase(part, word) for word in _words(want) or ()) for want, part in zip(wanted, parts, strict=True)
    )


def covers(pattern: str, address: str) -> bool:
    """True if a subscription to `pattern` wants an address: "" wants all, a pattern that ends in / all below it."""
    return not pattern or (pattern.endswith("/") and address.startswith(pattern)) or matches(pattern, address)


def _words(part: str) -> list[str] | None:
    """A part with its alternatives written out: "{kick,snare}_mute" is kick_mute and snare_mute."""
    words, rest = [""], part
    while "{" in rest:
        before, _, after = rest.partition("{")
        inside, closed, rest = after.partition("}")
        choices = inside.split(",")
        if not closed or len(words) * len(choices) > WORDS_MAX:
            return None
        words = [word + before + choice for word in words for choice in choices]
    return [word + rest for word in words]
