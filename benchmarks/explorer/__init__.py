"""How large a page of the explorer is, how quick a hover, and what libraries would weigh."""
