"""`clrbench validate`: specs against what is allowed, and against their data."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from clrbench.answer import Answer, ExitCode
from clrbench.commands.data_summary import data_lines
from clrbench.commands.opening import open_spec
from clrbench.data import Library
from clrbench.errors import ClrbenchError, SpecError
from clrbench.planning.experiment import described
from clrbench.spec import json_schema

NOT_HERE = ("its data is not here yet: clrbench data fetch (or the first compare) fetches or makes it",)


def validate(paths: Sequence[Path], library: Library, refuse: Callable[[str], None]) -> Answer:
    """Check specs; return which are good, what their data is, and their warnings; tell `refuse` what is wrong with the others."""
    if not paths:
        raise SpecError("got no spec; name at least one, or --schema")
    lines: list[str] = []
    errors: list[ClrbenchError] = []
    for path in paths:
        try:
            experiment = open_spec(path, Path(), library)
            experiment, found = described(experiment)
        except ClrbenchError as err:
            errors.append(err)
            continue
        validates = experiment.spec.data.validation.amount > 0
        about: Sequence[str] = data_lines(found, validates=validates) if found else NOT_HERE
        if (train := experiment.spec.train) is not None:
            files = train.named_files(experiment.library.base or Path())
            about = (
                f"a script, which is not run here: {train.known_by}",
                f"known by its files: {', '.join(files) or 'none'}",
            )
        lines += [f"{path}: good", *(f"  {line}" for line in about)]
        lines += [f"{path}: warning: {warning}" for warning in experiment.warnings]
    if not errors:
        return Answer("\n".join(lines), {})
    refuse("\n".join(map(str, errors)))
    at_fault = any(isinstance(err, SpecError) for err in errors)
    return Answer("\n".join(lines), {}, ExitCode.USAGE if at_fault else ExitCode.FAILED)


def schema() -> Answer:
    """Return the JSON Schema of a spec."""
    found = json_schema()
    return Answer(json.dumps(found, indent=2), found)
