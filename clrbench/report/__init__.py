"""Numbers -> people: words, figures and the page of an experiment; decides nothing, and needs no framework and no data."""
