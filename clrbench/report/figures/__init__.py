"""The figures of an experiment, drawn from its tables: a new one is a file here, and a line in `FIGURES`."""

import clrbench.report.figures.agg  # noqa: F401 (before anything else imports matplotlib)
