"""Networks and scripts of the user's own for runs on other machines, and what hides them from these."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from command_line import write_spec
from tiny_runs import HOW, TinyLibrary

from clrbench.execution.session import Pace
from clrbench.execution.task import Task
from clrbench.planning.script import files_checksum
from clrbench.spec import RunSpec
from clrbench.spec.train import Train

ONE_ARM: dict[str, Any] = {"constant": {"schedule": {"name": "constant", "lr": 0.05}}}
HIDE = """
import os
from clrbench.execution.ray import RayWorkers
send = RayWorkers.send
def send_and_hide(self, order, avoid):
    self._code_of(order.task)
    if os.path.isdir({folder!r}):
        os.rename({folder!r}, {elsewhere!r})
    return send(self, order, avoid)
RayWorkers.send = send_and_hide
"""
"""Has the folder of the spec go before any node can look into it, as on machines that do not have it."""

NETWORK = """
from pathlib import Path
from torch import nn
from parts import layer
WIDTH = int((Path(__file__).parent / "width.txt").read_text())
def build(image_shape, num_classes, bias=True):
    return nn.Sequential(nn.Flatten(), layer(28 * 28, WIDTH), nn.ReLU(), nn.Linear(WIDTH, num_classes, bias=bias))
"""
SCRIPT = """
. lib/values.sh
awk -F, -v s="$1" -v f="$FIRST" 'BEGIN { print "step,lr,train_loss,test_f1" }
NR > 1 { printf "%d,%s,%.9g,%.9g\\n", $1, $2, f + s / 10, 0.5 + $2 + (s * 7 % 5) / 1e4 }
' "$CLRBENCH_RUN/lr.csv" > "$CLRBENCH_RUN/metrics.csv"
"""


def write_own_code(folder: Path, kind: str) -> Path:
    """Write a network or a script of the user's own into a new folder, and return the path of its spec."""
    (folder / "lib").mkdir(parents=True)
    (folder / "parts.py").write_text("from torch import nn\nlayer = nn.Linear\n")
    (folder / "width.txt").write_text("7")
    (folder / "net.py").write_text(NETWORK)
    (folder / "lib/values.sh").write_text("FIRST=2\n")
    (folder / "train.sh").write_text(SCRIPT)
    if kind == "network":
        model = {"function": "./net.py:build", "bias": False}
        return write_spec(folder, model=model, backends=["torch"], seeds=1, duration="1 epochs", arms=ONE_ARM)
    content = {
        "name": "quick",
        "train": {"command": "sh train.sh {seed}", "steps_per_epoch": 10},
        "duration": "2 epochs",
        "seeds": 3,
        "metrics": {"test_f1": "higher"},
        "verdict": {"metric": "test_f1"},
        "arms": {name: {"schedule": {"name": "constant", "lr": lr}} for name, lr in (("a", 0.03), ("b", 0.06))},
    }
    (folder / "quick.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "quick.yaml"


def scripts_running() -> list[int]:
    """Return the processes of scripts that nodes have started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if b"CLRBENCH_RUN=" in path.read_bytes() and b"clrbench-node-" in path.read_bytes():
                found.append(int(path.parent.name))
    return found


KEEPS = """
trap '' TERM
dir=$CLRBENCH_RUN; step=0
[ -e $dir/kept ] && step=$(cat $dir/kept) || echo step,test_f1 > $dir/metrics.csv
echo "$step" >> $(dirname $0)/began
while [ $step -lt 40 ]; do
    step=$((step + 1)); echo $step,0.$step >> $dir/metrics.csv; echo $step > $dir/new; mv $dir/new $dir/kept; sleep 0.5
done
"""
"""Notes where it began, keeps how far it is, and is not to be stopped by SIGTERM."""


def script_task(home: Path, command: str = "sh train.sh {seed}", files: tuple[str, ...] = ()) -> Task:
    """Return the task of a run of a script, of four updates."""
    train = Train.model_validate({"command": command, "steps_per_epoch": 2, "files": files})
    content = {"backend": "script", "arm": "a", "seed": 7, "schedule": {"name": "constant", "lr": 0.1}, "num_steps": 4}
    more = {"steps_per_epoch": 2, "evaluation_steps": (4,), "evaluated_splits": ("test",), "divergence_factor": 1000.0}
    run = RunSpec.model_validate({**content, **more, "train": train})
    how = replace(HOW, backend="script", device="own", data_checksum=files_checksum(train, home))
    return Task(run, "0" * 64, how, TinyLibrary(base=home), home / "results", Pace())
