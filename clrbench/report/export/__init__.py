"""A schedule as code for a script that knows nothing of clrbench."""

from clrbench.report.export.script import FORMATS as FORMATS
from clrbench.report.export.script import Exported as Exported
from clrbench.report.export.script import Format as Format
from clrbench.report.export.script import export_source as export_source
