"""The command that exports an arm, for the answer and the page."""

import shlex
from pathlib import Path

from clrbench.analysis.glance import Glance
from clrbench.planning.tuning import labelled_arm
from clrbench.spec import Spec
from clrbench.spec.train import SCRIPT


def export_command(root: Path, spec: Spec, answer: Glance) -> str:
    """Return the command that prints the schedule of the arm to use as code; that of torch, where it was trained on.

    That of a script is a table of rates.
    """
    used = {one.backend: labelled_arm(spec, one.use.label) for one in answer.backends if one.use}
    backend, arm = ("torch", used["torch"]) if "torch" in used else next(iter(used.items()), ("torch", "NAME"))
    return f"clrbench export {shlex.quote(str(root))} --arm {arm} --to {'csv' if backend == SCRIPT else backend}"
