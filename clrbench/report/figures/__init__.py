"""The figures of an experiment, drawn from its tables: a new one is a file here, and a line in `FIGURES`."""
