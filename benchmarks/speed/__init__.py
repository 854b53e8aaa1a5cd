"""How fast clrbench is, beside its peers and beside its limits: `make bench`."""
