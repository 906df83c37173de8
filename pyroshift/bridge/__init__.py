"""From one kind of data to another: what an image tells of spectra, and spectra of an image."""
