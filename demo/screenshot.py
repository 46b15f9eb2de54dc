"""A picture of a page: ``python -m demo.screenshot URL OUT.png [--width N] [--height N] [--dark]
[--full]``.

The README's picture is made by it. It needs Chromium, which ``make test`` installs.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    return None


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless browser that speaks to no host but those of its pages.

    Raises ``FileNotFoundError`` without one.
    """
    path = find_chromium()
    if path is None:
        raise FileNotFoundError("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def shoot(
    url: str,
    out: Path,
    *,
    width: int,
    height: int,
    dark: bool,
    full: bool,
) -> None:
    """Open ``url`` in a window of that many pixels and write what is seen (all of the page if
    ``full``) to ``out``.

    Raises ``ValueError`` where the page does not answer well.
    """
    with chromium() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        answer = page.goto(url, wait_until="load")
        if answer is None or not answer.ok:
            raise ValueError(f"the page answers {answer.status if answer else 'nothing'}")
        page.screenshot(path=out, full_page=full)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; exit code 2 with a sentence where there is no browser or no page."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.screenshot", description="Take a picture of a page."
    )
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=960)
    parser.add_argument(
        "--dark", action="store_true", help="as people see it who prefer dark pages"
    )
    parser.add_argument(
        "--full", action="store_true", help="the whole page, not only the first screen"
    )
    asked = parser.parse_args(arguments)
    try:
        shoot(
            asked.url,
            asked.out,
            width=asked.width,
            height=asked.height,
            dark=asked.dark,
            full=asked.full,
        )
    except (OSError, ValueError, Error) as failure:
        print(f"no picture was taken: {str(failure).splitlines()[0]}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
