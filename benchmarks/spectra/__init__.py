"""Are drift and materials of energy-loss spectra told as well as by what the field does?"""
