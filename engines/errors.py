"""Every error Sideman raises on purpose.

SidemanError            a user's or a file's mistake; the message names the thing and says what to do
└── BundleError         a bundle that must not be loaded
"""

from __future__ import annotations


class SidemanError(Exception):
    """A mistake the user can mend: the command line prints the message as one line and exits with 2."""


class BundleError(SidemanError):
    """A bundle is missing, altered, incomplete, or of a schema this version cannot read."""
