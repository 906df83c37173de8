"""Do the models recover what is known to be in the data?"""
