"""`sideman studio`: a page in the browser that makes bars with any bundle."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from engines.bundle import shipped
from engines.errors import SidemanError

PORT = 7860
UPLOAD_BYTES_MAX = 1 << 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundles, and where the page is."""
    parser.add_argument("bundle", nargs="*", help="shipped bundles' names, or folders; default: all that are shipped")
    parser.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}; 0 takes a free one")
    parser.add_argument("--lan", action="store_true", help="let others in the network use the page")
    parser.add_argument("--soundfont", type=Path, metavar="SF2", help="default: one of the system's, with FluidSynth")
    parser.add_argument("--browser", action="store_true", help="open the page")


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C. Raises SidemanError."""
    if not 0 <= args.port <= 65535:
        raise SidemanError(f"--port takes a number from 0 to 65535, not {args.port}")
    if args.soundfont is not None and not args.soundfont.is_file():
        raise SidemanError(f"there is no sound font {args.soundfont}; give an .sf2 file")
    with tempfile.TemporaryDirectory(prefix="sideman-studio-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # what is made goes when the page goes
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        import gradio  # noqa: F401 - the extra is asked for before bundles are opened

        from bridge.studio.maker import Maker, usual_font
        from bridge.studio.page import CSS, build

        makers = [Maker.opened(name) for name in args.bundle or [path.name for path in shipped()]]
        page = build(makers, args.soundfont or usual_font())
        try:
            _, url, _ = page.launch(
                server_name="0.0.0.0" if args.lan else "127.0.0.1",  # noqa: S104 - asked for
                server_port=args.port or _free_port(),
                share=False, inbrowser=args.browser, quiet=True, prevent_thread_lock=True, ssr_mode=False,
                max_file_size=UPLOAD_BYTES_MAX, css=CSS,
            )  # fmt: skip
        except OSError as error:
            raise SidemanError(f"port {args.port} is taken; give another one with --port, or 0") from error
        done = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: done.set())
        print(f"{url} is the studio of {', '.join(maker.name for maker in makers)}; Ctrl-C ends it", flush=True)
        try:
            done.wait()
        finally:
            page.close(verbose=False)
            sys.stdout.flush()
    return 0


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
