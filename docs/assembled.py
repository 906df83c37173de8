"""What the site shows of the rest of the repository: brought in when it is built, never by git."""

import base64
import io
import json
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS, BENCHMARKS, GALLERY, PROJECT = "notebooks", "benchmarks", "gallery", "project"
DOCUMENTS = ("CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")
# Whose documentation is linked to, where its inventory can be had.
PEERS = {
    "python": "https://docs.python.org/3/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "pyro": "https://docs.pyro.ai/en/stable/",
    "xarray": "https://docs.xarray.dev/en/stable/",
}
PATIENCE = 5  # seconds, for an inventory


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery: the last one of the first cell that does something.

    Args:
        notebook: its name without the ending.
        source: what stands in the cell.
        title: of the picture.
        caption: what to look for.
    """

    notebook: str
    source: str
    title: str
    caption: str


PICTURES = (
    Picture(
        "01_quickstart", "ps.plot.maps(maps, image)", "Maps of a surface",
        "Si(111)-7x7 by STM: z shows a step, missing adatoms and contamination; offsets beat with "
        "the lattice.",
    ),
    Picture(
        "01_quickstart", "ps.plot.manifold(", "What z means",
        "The window that is expected at each z, with the offset taken out.",
    ),
    Picture(
        "02_sines", "ps.plot.heat_map(ps.correlation_ratio(factors, shift_maps)",
        "One latent for each factor",
        "A shift-VAE's offset tells the shift of a sine, one z its period, the other z nothing.",
    ),
    Picture(
        "04_experiment", 'ps.plot.maps(shift_maps, stem, ["z", "offset"])', "Lattice and phases",
        "Offsets beat, z is smooth.",
    ),
    Picture(
        "05_physical_latents", "ps.plot.search(found", "A search over KL weights",
        "Scores over the initial and the final weight, and the maps behind them.",
    ),
    Picture(
        "06_rotation", 'ps.plot.maps(maps, image, ["z", "angle", "elbo"])', "Angles of atoms",
        "An rVAE at every atom of an image: how its surroundings are turned.",
    ),
    Picture(
        "08_atoms", "ps.plot.latent_map(shown, \"orientation\"", "Grains",
        "Angles modulo 60°: two grains of graphene.",
    ),
    Picture(
        "08_atoms", "ps.plot.distortion(", "A scan's distortion",
        "By a Gaussian process on how far atoms are off their lattice, with its uncertainty.",
    ),
    Picture(
        "09_pathways", "ps.plot.transitions(matrix)", "Transitions",
        "How often atoms switch between two states, with credible intervals.",
    ),
    Picture(
        "10_bayesian_workflow", 'ps.plot.predictive_check(after["Poisson"])',
        "A predictive check",
        "The Poisson model's windows scatter less than those observed.",
    ),
    Picture(
        "11_neighbours", "ps.smooth_field(model, around, draws=200)", "A gap filled in",
        "An order parameter where windows are missing, and how far off that may be.",
    ),
    Picture(
        "12_domains", "ps.plot.walls(found, before)", "Domain walls",
        "Where ferroelectric domains meet, which way walls go, and how they bend.",
    ),
    Picture(
        "12_domains", "ps.plot.switched(change)", "What switched",
        "Between two scans, registered first.",
    ),
    Picture(
        "13_diffraction", "ps.plot.deflection(maps, std=True)", "Deflections in 4D-STEM",
        "A polar vortex: all colours of the wheel once around its middle.",
    ),
    Picture(
        "14_spectra", "ps.plot.mean_spectra(found", "Spectra of two materials",
        "Mean energy losses of two classes, the drift taken off.",
    ),
    Picture(
        "15_structure_spectrum", "ps.plot.predicted_spectra(predicted)", "Spectra by structure",
        "In bands, where the image alone was seen.",
    ),
    Picture(
        "16_strain", "ps.plot.strain(strained, image, found)", "Strain and dislocations",
        "From the offsets of windows, without an atom being found.",
    ),
)  # fmt: skip


def write(site: Path) -> None:
    """Bring in notebooks, benchmarks' READMEs, the project's documents, and the gallery.

    Args:
        site: the folder of the site's sources.
    """
    for name in (NOTEBOOKS, BENCHMARKS, GALLERY, PROJECT):
        shutil.rmtree(site / name, ignore_errors=True)
        (site / name).mkdir()
    for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/*.png")]:
        shutil.copy(path, site / NOTEBOOKS)
    for path in [*ROOT.glob("benchmarks/*/README.md"), *ROOT.glob("benchmarks/*/*.png")]:
        there = site / path.relative_to(ROOT)
        there.parent.mkdir(exist_ok=True)
        shutil.copy(path, there)
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    entries = "\n".join(sorted(f"{name}/README" for name in benchmarks()))
    toctree = f"\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"
    (site / BENCHMARKS / "README.md").write_text(readme + toctree, encoding="utf-8")
    for name in DOCUMENTS:
        shutil.copy(ROOT / name, site / PROJECT)
    (site / GALLERY / "index.md").write_text(gallery(site / GALLERY), encoding="utf-8")


def benchmarks() -> list[str]:
    """Names of the benchmarks that have a README."""
    return sorted(path.parent.name for path in ROOT.glob("benchmarks/*/README.md"))


def gallery(folder: Path) -> str:
    """The gallery's page; its pictures are written beside it.

    Args:
        folder: where to.
    """
    cards = []
    for number, picture in enumerate(PICTURES):
        name = f"{number:02}_{picture.notebook}.png"
        (folder / name).write_bytes(found(picture))
        cards.append(
            f":::{{grid-item-card}} {picture.title}\n:link: ../{NOTEBOOKS}/{picture.notebook}\n"
            f":link-type: doc\n:img-top: {name}\n\n{picture.caption}\n:::\n"
        )
    return (
        "# Gallery\n\nPictures of results, each taken from an executed notebook, to which it "
        "leads.\n\n::::{grid} 1 1 2 2\n:gutter: 3\n\n" + "\n".join(cards) + "::::\n"
    )


def found(picture: Picture) -> bytes:
    """A picture of the gallery, as PNG.

    Args:
        picture: which.

    Raises:
        LookupError: if no cell of the notebook has it.
    """
    path = ROOT / "notebooks" / f"{picture.notebook}.ipynb"
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if picture.source in "".join(cell["source"]):
            shown = list(_pictures(cell))
            if shown:
                return base64.b64decode(shown[-1])
    raise LookupError(f"no cell of {path.name} with a picture has {picture.source!r} in it")


def _pictures(cell: dict[str, Any]) -> Iterator[str]:
    for output in cell.get("outputs", []):
        data = output.get("data", {}).get("image/png")
        if data:
            yield "".join(data)


def inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """What `intersphinx` links to: the peers whose inventory is here, or can be fetched now.

    Args:
        folder: where inventories are kept.
    """
    folder.mkdir(exist_ok=True)
    for name, address in PEERS.items():
        path = folder / f"{name}.inv"
        if path.is_file():
            continue
        try:
            with urllib.request.urlopen(f"{address}objects.inv", timeout=PATIENCE) as answer:
                content = io.BytesIO(answer.read()).getvalue()
        except OSError:
            break  # no network: the others can't be had either
        if content.startswith(b"# Sphinx inventory"):
            path.write_bytes(content)
    return {
        name: (address, str(folder / f"{name}.inv"))
        for name, address in PEERS.items()
        if (folder / f"{name}.inv").is_file()
    }
