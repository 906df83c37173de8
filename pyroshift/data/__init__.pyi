from . import examples as examples
from . import synthetic as synthetic
