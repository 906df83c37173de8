"""A real browser, and pages in it that may ask for nothing but themselves."""

import io
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
WHY_NOT = "NOT TESTED in a browser: there is no chromium (make test installs it by apt as root)"


@contextmanager
def chromium():
    """The browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason=f"no playwright: {WHY_NOT}")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(WHY_NOT)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Page:
    """A page, and all that went wrong in it.

    Args:
        browser: that shows it.
        path: of the file.
        width: of the screen, pixels.
    """

    def __init__(self, browser, path, width=1280):
        self.tab = browser.new_page(viewport={"width": width, "height": 1100})
        self.tab.set_default_timeout(10_000)
        self.requests, self.errors = [], []
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", lambda said: self.errors.append(said.text))
        self.tab.goto(path.as_uri())
        self.tab.wait_for_function("window.explorer && explorer.window.surfaces[0].width > 0")

    def canvas(self, label):
        """A canvas by the beginning of its label."""
        return self.tab.locator(f'section canvas[aria-label^="{label}"]')

    def at(self, label, across, down):
        """Where on the screen a share of a canvas's width and height is."""
        canvas = self.canvas(label)
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def hover(self, label, across, down):
        """Move the pointer there."""
        self.tab.mouse.move(*self.at(label, across, down))

    def drag(self, label, line):
        """Draw a line with the pointer, of shares of a canvas's width and height."""
        points = [self.at(label, *point) for point in line]
        self.tab.mouse.move(*points[0])
        self.tab.mouse.down()
        for point in points[1:]:
            self.tab.mouse.move(*point, steps=4)
        self.tab.mouse.up()

    def value(self, expression):
        """What a script's expression is."""
        return self.tab.evaluate(expression)

    def colours(self, label, shares):
        """Colours at shares of a canvas's width and height, `n x 3`, a little below each."""
        drawn = self.canvas(label).screenshot()
        picture = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"), dtype=int)
        across, down = (np.array(shares) * picture.shape[1::-1]).astype(int).T
        return picture[down + 7, across + 7]

    def pixels(self, label, shape):
        """Colours in the middle of each pixel of a window that a canvas shows, `window x 3`."""
        drawn = self.canvas(label).screenshot()
        picture = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"), dtype=int)
        scale = min(picture.shape[0] / shape[0], picture.shape[1] / shape[1])
        rows, columns = (
            ((size - scale * count) / 2 + scale * (np.arange(count) + 0.5)).astype(int)
            for size, count in zip(picture.shape, shape, strict=False)
        )
        return picture[np.ix_(rows, columns)]

    def close(self):
        """Done; nothing may have gone wrong."""
        self.tab.close()
        assert self.errors == []
        assert all(url.startswith("file://") for url in self.requests)
        assert len(self.requests) == 1
