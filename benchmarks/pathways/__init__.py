"""Are states, rates of switching and single atoms' ways found in a movie?"""
