"""How large a page of the explorer is, how quick a hover, and what libraries would weigh.

    python -m benchmarks.explorer

Libraries are measured where they are installed: an empty page of each, all that it needs inside,
and how many packages it brings.
"""

import re
import shutil
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles

import numpy as np

import pyroshift as ps
from benchmarks.common import command

SIDE, WINDOW, STEP = 100, 32, 4  # 10,000 windows
_HOVER = """async () => {
  const canvas = explorer.mapView.surface.canvas;
  const {left, top, width, height} = canvas.getBoundingClientRect();
  const handled = [], shown = [];
  for (let i = 0; i < 200; i++) {
    const at = {clientX: left + width * (0.1 + 0.8 * ((i * 0.618) % 1)),
                clientY: top + height * (0.1 + 0.8 * ((i * 0.414) % 1)), bubbles: true};
    await new Promise(requestAnimationFrame);
    const start = performance.now();
    canvas.dispatchEvent(new PointerEvent("pointermove", at));
    handled.push(performance.now() - start);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    shown.push(performance.now() - start);
  }
  return [handled, shown];
}"""


def page(folder: Path) -> tuple[Path, int]:
    """A page of 10,000 windows of a noisy lattice, and how many of them have reconstructions."""
    size = WINDOW + (SIDE - 1) * STEP
    y, x = np.mgrid[:size, :size]
    spots = np.cos(2 * np.pi * y / 13.3) + np.cos(2 * np.pi * (x + 0.1 * y) / 13.3)
    image = spots + np.random.default_rng(0).normal(0, 0.3, spots.shape)
    patches = ps.extract_patches(image, WINDOW, step=STEP)
    model = ps.ShiftVAE(WINDOW, guide="normal")
    ps.fit(model, patches, epochs=3, progress=False)
    explorer = ps.explore(model, ps.encode(model, patches), image)
    text = explorer.html()
    path = folder / "maps.html"
    path.write_text(text, encoding="utf-8")
    left_out = re.search(r"reconstructions of (\d+) of", text)
    return path, len(patches) - (int(left_out.group(1)) if left_out else 0)


def hovers(path: Path) -> tuple[list[float], list[float]]:
    """Milliseconds until a hover is handled, and until it is on the screen."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 1280, "height": 1100})
        tab.goto(path.as_uri())
        tab.wait_for_function("window.explorer && explorer.window.surfaces[0].width > 0")
        return tuple(tab.evaluate(_HOVER))


def packages(name: str) -> int:
    """How many packages an installation brings beside itself."""
    seen, ahead = set(), [name]
    while ahead:
        current = ahead.pop()
        if current in seen or not _installed(current):
            continue
        seen.add(current)
        needed = [each for each in metadata.requires(current) or () if "extra ==" not in each]
        ahead += [re.match(r"[\w.-]+", each).group().lower() for each in needed]
    return len(seen) - 1


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def bokeh() -> str:
    """An empty page of Bokeh's."""
    from bokeh.embed import file_html
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    plot = figure()
    plot.scatter([0, 1], [0, 1])
    return file_html(plot, INLINE)


def plotly() -> str:
    """An empty page of plotly's."""
    import plotly.graph_objects as go

    return go.Figure(go.Scatter(x=[0, 1], y=[0, 1])).to_html(include_plotlyjs=True)


def panel() -> str:
    """An empty page of Panel's."""
    import io

    import panel
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    plot = figure()
    plot.scatter([0, 1], [0, 1])
    file = io.StringIO()
    panel.Column(plot, panel.widgets.FloatSlider()).save(file, resources=INLINE, embed=False)
    return file.getvalue()


LIBRARIES = {"bokeh": bokeh, "plotly": plotly, "panel": panel}


def libraries() -> None:
    """What pages and installations of libraries weigh."""
    for name, empty in LIBRARIES.items():
        if find_spec(name) is None:
            print(f"{name}: not installed")
            continue
        text = empty()
        asks = len(set(re.findall(r'(?:src|href)="(https?://[^"]+)"', text)))
        print(
            f"{name} {metadata.version(name)}: an empty page {len(text.encode()) / 1e6:.1f} MB, "
            f"{packages(name)} packages beside it, {asks} links to the network"
        )


def main() -> None:
    """All of it."""
    command.asked(command.parser("explorer", __doc__, seeds=()))
    with tempfile.TemporaryDirectory() as folder:
        path, kept = page(Path(folder))
        size = path.stat().st_size / 1e6
        print(f"{SIDE**2} windows of {WINDOW} x {WINDOW}: {size:.1f} MB, {kept} reconstructions")
        for name, times in zip(("handled", "on the screen"), hovers(path), strict=True):
            high = quantiles(times, n=20)[-1]
            print(f"hover {name}: median {median(times):.1f} ms, 95% below {high:.1f} ms")
    from pyroshift.explorer.page import script, style

    print(f"script and style of its own: {len(script() + style()) / 1e6:.3f} MB")
    libraries()


if __name__ == "__main__":
    main()
