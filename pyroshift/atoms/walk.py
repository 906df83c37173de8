"""Which cell of a lattice each atom is in, and which of the cell's sites: from atom to atom.

Rounding positions to a lattice gives wrong cells as soon as distortions add up to half a period. So
cells are counted along steps between neighbours, each of which is hardly distorted: atoms that
lattice vectors connect make a piece, counted by itself; pieces that lie among each other are then
put together, as several sites of one cell or as parts of the same.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEAST_PIECE = 0.2  # of the largest piece's atoms, for another to be a site of its own
LEAST_TOUCHING = 0.5  # of its atoms that must have a neighbour in the lattice
LEAST_AGREEING = 0.5  # of an atom's neighbours that must agree on its place
NEIGHBOURS = 6


@dataclass(frozen=True, eq=False)
class Cell:
    """What a lattice repeats.

    Args:
        vectors: vector x axis.
        basis: site x axis, where the cell's atoms are.
        tolerance: how far an atom may be off its place as seen from its neighbours.
        closed: whether these are all the sites there are.
    """

    vectors: Array
    basis: Array
    tolerance: float
    closed: bool

    def place(self, index: Array, site: Array) -> Array:
        """Where the atoms of some cells and sites ideally are."""
        return index @ self.vectors + self.basis[site]

    def whole(self, difference: Array) -> Array:
        """The cell of a position, or the lattice vector nearest to a difference."""
        return np.round(difference @ np.linalg.inv(self.vectors)).astype(np.int64)

    def match(self, position: Array) -> tuple[int, Array] | None:
        """The site that a position belongs to and the site's cell, if it is near any."""
        index = self.whole(position - self.basis)
        off = np.linalg.norm(position - self.basis - index @ self.vectors, axis=1)
        site = int(np.argmin(off))
        return (site, index[site]) if off[site] < self.tolerance else None

    def with_site(self, position: Array) -> "Cell":
        """The cell with one site more."""
        fraction = position @ np.linalg.inv(self.vectors)
        inside = (fraction - np.floor(fraction + 0.1)) @ self.vectors
        return replace(self, basis=np.vstack([self.basis, inside]))


@dataclass(frozen=True, eq=False)
class Places:
    """The place of each atom in a lattice.

    Args:
        index: atom x vector, the cell.
        site: atom, which of the cell's sites; -1 for an atom off the lattice.
    """

    index: Array
    site: Array

    @property
    def known(self) -> Array:
        """Whether each atom is on the lattice."""
        return self.site >= 0


def place_atoms(
    positions: Array, species: Array, cell: Cell, expected: Places | None = None
) -> tuple[Places, Cell]:
    """The places of one frame's atoms in a lattice.

    Args:
        positions: atom x axis.
        species: atom; only atoms of the same species are taken for each other's equivalents.
        cell: what is known of the lattice.
        expected: of atoms whose place in the frame before is known, that one.

    Returns:
        The places, whose cells are counted from the first frame's, and the cell with all sites.
    """
    piece, index = _pieces(positions, species, cell)
    links = _links(positions)
    trials = []
    for seed, site, shift in _seeds(piece, index, species, cell, expected):
        first = piece == seed
        start = Places(index + shift * first[:, None], np.where(first, site, -1))
        places, full = _put_together(positions, piece, links, start, cell)
        trials.append((_agreeing(positions, links, places, full), full))
    return max(trials, key=lambda trial: np.count_nonzero(trial[0].known))


def _pieces(positions: Array, species: Array, cell: Cell) -> tuple[Array, Array]:
    """Atoms that lattice vectors connect: the number of each one's piece, and its cell in this."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    count = len(positions)
    start, end, error = _steps(positions, species, cell)
    # A graph of lengths knows no length of zero. The tree takes those steps that are least off.
    graph = csr_array((error + cell.tolerance, (start, end)), shape=(count, count))
    tree = minimum_spanning_tree(graph)
    piece, index = np.full(count, -1), np.zeros((count, 2), np.int64)
    for atom in range(count):
        if piece[atom] >= 0:
            continue
        order, before = breadth_first_order(tree, atom, directed=False)
        piece[order] = atom
        for after in order[1:]:
            step = cell.whole(positions[after] - positions[before[after]])
            index[after] = index[before[after]] + step
    return np.unique(piece, return_inverse=True)[1], index


def _steps(positions: Array, species: Array, cell: Cell) -> tuple[Array, Array, Array]:
    """Atoms that one of the three shortest lattice vectors leads to: from, to, and how far off."""
    from scipy.spatial import KDTree

    first, second = cell.vectors
    diagonals = np.stack([first + second, first - second])
    shorter = diagonals[np.argmin(np.linalg.norm(diagonals, axis=1))]
    found = [np.empty((3, 0))]
    for kind in np.unique(species):
        atoms = np.flatnonzero(species == kind)
        tree = KDTree(positions[atoms])
        for vector in (first, second, shorter):
            off, nearest = tree.query(
                positions[atoms] + vector, distance_upper_bound=cell.tolerance
            )
            hit = np.isfinite(off)
            found.append(np.stack([atoms[hit], atoms[nearest[hit]], off[hit]]))
    start, end, error = np.concatenate(found, axis=1)
    # Trees in SciPy before 1.17 take no graph with longer indices.
    return start.astype(np.int32), end.astype(np.int32), error


def _links(positions: Array) -> Array:
    """Every atom with its nearest neighbours: 2 x pair."""
    from scipy.spatial import KDTree

    count = min(NEIGHBOURS + 1, len(positions))
    neighbours = KDTree(positions).query(positions, count)[1].reshape(len(positions), -1)[:, 1:]
    return np.stack([np.repeat(np.arange(len(positions)), count - 1), neighbours.ravel()])


def _seeds(
    piece: Array, index: Array, species: Array, cell: Cell, expected: Places | None
) -> list[tuple[int, int, Array]]:
    """Where to begin: a piece, its site, and what to add to its cells."""
    if expected is not None and expected.known.any():
        # The place that most atoms of one piece expect.
        known = expected.known
        votes = np.column_stack([piece, expected.site, expected.index - index])[known]
        choices, count = np.unique(votes, axis=0, return_counts=True)
        seed, site, *shift = choices[np.argmax(count)]
        return [(int(seed), int(site), np.array(shift))]
    largest = int(np.argmax(np.bincount(piece[species == species.min()])))
    sites = range(len(cell.basis)) if cell.closed else (0,)
    return [(largest, site, np.zeros(2, np.int64)) for site in sites]


def _put_together(
    positions: Array, piece: Array, links: Array, start: Places, cell: Cell
) -> tuple[Places, Cell]:
    """Place piece after piece by its neighbours, beginning with that which is placed."""
    index, site = start.index.copy(), start.site.copy()
    sizes = np.bincount(piece)
    largest = np.count_nonzero(start.known)
    refused = np.zeros(len(sizes), bool)
    while True:
        near, far = links[:, (site[links[0]] >= 0) & (site[links[1]] < 0)]
        near, far = (part[~refused[piece[far]]] for part in (near, far))
        if not len(far):
            return Places(index, site), cell
        chosen = int(np.argmax(np.bincount(piece[far])))
        near, far = (part[piece[far] == chosen] for part in (near, far))
        seen = positions[far] - positions[near] + cell.place(index[near], site[near])
        seen = seen - index[far] @ cell.vectors
        middle = np.median(seen, axis=0)
        spread = np.median(np.linalg.norm(seen - middle, axis=1))
        touching = len(np.unique(far)) > LEAST_TOUCHING * sizes[chosen]
        if touching and not cell.closed and sizes[chosen] > LEAST_PIECE * largest:
            cell = cell if cell.match(middle) else cell.with_site(middle)
        match = cell.match(middle)
        if match is None or spread > cell.tolerance:
            refused[chosen] = True
            continue
        site[piece == chosen] = match[0]
        index[piece == chosen] += match[1]


def _agreeing(positions: Array, links: Array, places: Places, cell: Cell) -> Places:
    """The places without those that an atom's neighbours don't agree with, and one atom for each.

    Of several atoms on one site the one stays that is least off its place as its neighbours see it.
    """
    count = len(positions)
    start, end = links[:, places.known[links].all(0)]
    ideal = cell.place(places.index, places.site)
    off = np.linalg.norm(positions[end] - positions[start] - ideal[end] + ideal[start], axis=1)
    among = np.maximum(np.bincount(start, minlength=count), 1)
    share = np.bincount(start, off < cell.tolerance, count) / among
    order = np.argsort(np.bincount(start, off, count) / among)
    place = np.column_stack([places.site, places.index])[order]
    best = np.zeros(count, bool)
    best[order[np.unique(place, axis=0, return_index=True)[1]]] = True
    return replace(places, site=np.where(best & (share >= LEAST_AGREEING), places.site, -1))
