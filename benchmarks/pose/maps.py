"""The sines' map of spread times noise, as a table and as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.common.metrics import Array
from benchmarks.common.run import Run
from benchmarks.common.table import Row, figures, worst
from benchmarks.pose.tasks import SINES, sines_label


def sines_maps(rows: Sequence[Row], run: Run) -> None:
    """Print the maps of all guides, of the matched filter too, and save them side by side."""
    settings = run.settings(SINES)
    spreads, noises = settings["spreads"], settings["noises"]
    shown = [(guide, guide, "offset R2") for guide in run.guides]
    shown.append(("matched filter", run.guides[0], "filter R2"))
    maps = {
        title: np.array(
            [[_worst(rows, f"{guide}, {sines_label(s, n)}", name) for n in noises] for s in spreads]
        )
        for title, guide, name in shown
    }
    for title, values in maps.items():
        print(table(title, values, spreads, noises, settings["collapse"]), flush=True)
    draw(maps, spreads, noises, run.out / "sines.png")


def _worst(rows: Sequence[Row], case: str, name: str) -> float:
    """The lowest figure of all seeds; NaN if there is none."""
    return worst(figures(rows, case, name).values())


def table(
    title: str, values: Array, spreads: Sequence[float], noises: Sequence[float], collapse: float
) -> str:
    """The map in words: one line per spread, one column per noise, a star where it collapsed."""
    head = f"{title}: offset R2 modulo the period, the worst of the seeds; * below {collapse:g}"
    lines = [head, "spread \\ noise" + "".join(f"{noise:9g}" for noise in noises)]
    for spread, line in zip(spreads, values, strict=True):
        fields = [f"{value:8.3f}{'*' if value < collapse else ' '}" for value in line]
        lines.append(f"{spread:14g}" + "".join(fields))
    return "\n".join(lines)


def draw(
    maps: dict[str, Array], spreads: Sequence[float], noises: Sequence[float], path: Path
) -> None:
    """The maps side by side, annotated."""
    figure = Figure((3.2 * len(maps) + 0.8, 3.6), layout="compressed")
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for ax, (title, values) in zip(axes, maps.items(), strict=True):
        picture = ax.imshow(values, vmin=0, vmax=1, cmap="viridis", origin="lower", aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            colour = "black" if value > 0.6 else "white"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, size=8)
        ax.set_xticks(range(len(noises)), [f"{noise:g}" for noise in noises])
        ax.set_yticks(range(len(spreads)), [f"{spread:g}" for spread in spreads])
        ax.set_xlabel("noise / amplitude")
        ax.set_title(title)
    axes[0].set_ylabel("spread of the offsets")
    figure.colorbar(picture, ax=list(axes), label="R² modulo the period")
    figure.savefig(path, dpi=130)
