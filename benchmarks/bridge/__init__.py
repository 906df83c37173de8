"""Does a bridge predict spectra from structure, and back, and do its bands hold?"""
