"""What the report says: how to read each picture, and the page around it."""

MAPS = {
    "z": "<b>z</b> says what the motif looks like. Where a z map is smooth, it shows a property of "
    "the sample or the scan: a phase, a defect, a change of the tip. Where it repeats with the "
    "lattice, it has taken over a shift that the offsets should hold: try a wider "
    "<code>--offset-scale</code> or a larger <code>--kl</code>, without <code>--guide "
    "normal</code>. Salt and pepper is noise. A z that collapsed is pale: it means nothing.",
    "offset": "<b>offset</b> says where the motif sits in its window, from the centre and positive "
    "downwards and to the right. On a perfect lattice the maps beat: stripes or a moiré between "
    "the lattice and the grid of windows, the wider the closer the step is to a whole number of "
    "periods. A bend or a jump in these stripes is a strain, a drift of the scan, or a "
    "dislocation; jumps by one period mean nothing, since all cells are alike.",
    "angle": "<b>angle</b> says how the motif is turned, counter-clockwise. Grains show as areas "
    "of one colour. A motif with symmetry has several angles that are equally right, which look "
    "like salt and pepper: give it by <code>--symmetry</code>.",
    "scale": "<b>scale</b> says how large the motif is.",
    "flip": "<b>flip</b> says whether the motif is mirrored: the paler the colour, the less sure.",
    "class": "<b>class</b> says which kind of motif a window shows: the paler the colour, the less "
    "sure. The numbers are in no order. <code>class_probability</code> in <code>maps.nc</code> has "
    "the probability of each.",
    "brightness": "<b>brightness</b> says how strong the motif stands out in its window (gain), "
    "and how bright the window is besides (background).",
    "elbo": "<b>ELBO</b> says how well the model explains each window. It finds anomalies: what is "
    "rare, such as a defect or debris, is explained worse than its surroundings; what is plain, "
    "such as an edge without texture, better.",
}
# Of windows of one axis.
MAPS_OF_SPECTRA = {
    "z": "<b>z</b> says what the spectrum looks like, shifts apart: a material, a thickness. Where "
    "its map is smooth, or has the sample's shapes, it shows a property of the sample; salt and "
    "pepper is noise. A z that collapsed is pale: it means nothing.",
    "offset": "<b>offset</b> says by how much the spectrum is shifted along its axis, from what "
    "the model draws for its z and class: a drift, a charging, a resonance that moves. Spectra "
    "without a peak have no offset to speak of: see <code>offset_std</code> in "
    "<code>maps.nc</code>, and try <code>--model vae</code>.",
    "class": MAPS["class"].replace("motif a window shows", "spectrum this is"),
    "elbo": "<b>ELBO</b> says how well the model explains each spectrum: what is rare, or has more "
    "counts than others, is explained worse.",
}
SPECTRA = [
    "The mean of each class, its spectra brought back by where their peak is if they shift, and a "
    "band of one standard deviation of single spectra to either side: of noise, and of what varies "
    "within the class. Classes that look alike are one.",
]
ABUNDANCES = ["How probable each class is. Between 0 and 1 is what is mixed, or not to be told."]
PEAK = [
    "Where the highest peak is, in the model's drawing of each spectrum, free of noise, and how "
    "sure. Of energy losses this is the zero-loss peak, and the map its drift, which goes along "
    "scan lines; <code>--peak</code> takes another.",
]
STRAIN = [
    "How much longer the lattice is along x and y than the reference, by how much the angle "
    "between both is smaller, and how it is turned, from x towards y: clockwise, where y runs "
    "downwards. Strains share their colours. What is less than twice its standard deviation may be "
    "noise.",
    "A drift of the sample or jumps between scan lines look like strain: bands along a scan line, "
    "in strains along y and in shear, are mostly the scan's. One image can't tell; another one, "
    "scanned along y, can.",
    "A dislocation has the symbol of its slip plane and its extra half plane. Near it strains are "
    "less sure than they say, as what a window shows there is no lattice.",
]
DISPLACEMENT = [
    "How far the lattice is from the reference. Between dislocations it jumps by a lattice vector "
    "along a line that has no meaning.",
]
WALLS = [
    "The cosine of the phase, counted from the offset that domains have in common, and the walls "
    "where it changes its sign, coloured by their angle. Where the amplitude is small over an "
    "area, as where the polarization lies in the plane, the phase is noise, and walls around such "
    "an area aren't those between opposite domains.",
    "<code>walls.csv</code> and <code>walls.nc</code> have all points of the walls, the longest "
    "wall first, with angles, curvatures and their intervals.",
]
ROSE = [
    "The length of walls by their angle, counter-clockwise, modulo a half turn. Walls along few "
    "angles are held by the crystal; those along all are rather held by defects or by nothing."
]
SWITCHED = [
    "Domains before, in grey, and what has changed its sign since, after both scans were "
    "registered. What is thinner than <code>--thinnest</code> doesn't count. A band along scan "
    "lines is more likely a change of the tip or its contact than of the sample.",
]
DEFLECTION = [
    "How far, and in which direction, each pattern is moved on the detector, its mean taken off: "
    "colours go by the wheel, and are dark where there is little. A field in the sample deflects "
    "the beam, and so do the scan and the microscope's alignment, by slopes and slow waves over "
    "all of the scan.",
    "What changes within the disk, by thickness or by the atoms under the beam, is in <b>z</b>, "
    "and should leave no trace here. Where the deflection repeats a map of z, or stripes of the "
    "lattice, it is less sure than it says: z has taken over a part of it, or has learned too "
    "little of what changes; compare another <code>--latent-dim</code>. So it is where a disk is "
    "cut off by the detector's edge.",
]
PATTERNS = [
    "The mean of all patterns, where pixels without data are grey. A hot pixel or a beam stop that "
    "stays in place while the disk moves holds deflections back: leave it out by "
    "<code>--mask</code>.",
]
CHANNELS = (
    "The channels of the image come first, each in shades and a unit of its own. The maps are of "
    "all channels at once."
)
GAPS = (
    "Light grey, in images a little blue, is where pixels are missing, and in the maps where too "
    "many are for a window (<code>--min-valid</code>). A window that misses some has less to "
    "explain: compare its ELBO with those of windows alike."
)
MANIFOLD = [
    "What the model expects to see for each pair of latents, without shift or turn. Neighbours "
    "should change gradually. Read it beside the maps: the colour of a place there is a tile here. "
    "Tiles that differ by a shift only mean that z has taken over a shift. The windows have none "
    "of the pale tiles, whose z collapsed."
]
CLASSES = "Each class has tiles of its own, all pale where no window is of it."
EXAMPLES = [
    "Windows from the best (left) to the worst explained (right), what the model makes of them, "
    "and what remains. Structure that remains in many windows is something the model has not "
    "learnt: train for longer, or give it another latent."
]
TRAINING = [
    "The loss should have settled, and not only because the learning rate went to zero: if it fell "
    "until shortly before the end, train for more <code>--epochs</code>.",
    "A site's KL divergence is the information that it takes from a window; near 0 it has "
    "collapsed, and its map means nothing.",
]
PYTHON = """\
<section><h2>Going on in Python</h2>
<pre>import xarray

maps = xarray.load_dataset("maps.nc")        # needs no pyroshift
{first}.plot()

import pyroshift

model = pyroshift.load("model.pt")
reconstructed = pyroshift.decode(model, maps)
pyroshift.plot.maps(maps)</pre>
<p>In this folder: <code>maps.nc</code> the maps, with units; <code>history.nc</code> the training's
numbers; <code>model.pt</code> the model, for <code>pyroshift encode</code> and
<code>pyroshift.load</code>; <code>checkpoint.pt</code> what <code>--resume</code> goes on from, not
needed otherwise; and the pictures.</p></section>"""
EXPLORE = """</p>
<p><a href="explore.html">Explore the image, the maps and the windows</a> by hovering over them:
each place with its window, reconstruction, residual and latents, and the manifold under a
handle."""
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; }}
h2 {{ font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid #ddd; }}
figure {{ margin: 0; }}
img {{ max-width: 100%; display: block; margin: 0 auto; background: #fff; }}
figcaption {{ color: #444; font-size: 0.95rem; }}
ul {{ padding-left: 1.2rem; }}
table {{ border-collapse: collapse; font-size: 0.9rem; }}
.collapsed {{ color: #999; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0;
  border-bottom: 1px solid #eee; }}
td:first-child {{ white-space: nowrap; }}
code, pre {{ font-family: ui-monospace, monospace; font-size: 0.9em; }}
pre {{ background: #f5f5f5; padding: 0.7rem 1rem; overflow-x: auto; }}
.notes {{ background: #fff6e0; padding: 0.2rem 1rem; }}
.notes h2 {{ margin-top: 0.6rem; border: none; }}
footer {{ margin-top: 3rem; color: #777; font-size: 0.85rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}</p>
{sections}
<footer>{versions}</footer>
</body>
</html>
"""
