"""The key `train`: a training script of the user's own, and what stands for model and data, which it alone knows."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, field_validator

from clrbench.data import DatasetSizes
from clrbench.spec import quantities
from clrbench.spec.data import Data
from clrbench.spec.messages import nearest
from clrbench.spec.part import Part, at_name
from clrbench.spec.quantities import Share, Whole

SCRIPT: Literal["script"] = "script"
"""The name of its backend, in tables and in the names of runs."""

PLACES = ("data", "model", "optimizer", "batch_size", "backends")
"""Keys of a spec that `train` stands in place of."""

MAX_COMMAND = 2000
MAX_FILES = 1000
MAX_PATH = 1000
MAX_STEPS_PER_EPOCH = 20_000_000
MAX_TIMEOUT_SECONDS = 30 * 86_400.0
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_TIME = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(s|min|h|d)\s*")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")
_INTERPRETER = re.compile(r"(python|pypy|julia|node|perl|ruby|Rscript|(ba|da|z)?sh)[0-9.]*")


class TimeLimit(float):
    """A number of seconds, written with its unit."""

    def __str__(self) -> str:
        """Return the limit as a spec writes it, such as `90 s`."""
        return f"{float(self):g} s"


def _parse_time(value: object) -> TimeLimit:
    allowed = "a time with a unit (s, min, h, d), greater than 0 and at most 30 d, such as '2 h'"
    if isinstance(value, TimeLimit):
        return value
    match = _TIME.fullmatch(value) if isinstance(value, str) and len(value) <= quantities.MAX_TEXT else None
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise ValueError(allowed)
    return TimeLimit(seconds)


Timeout: TypeAlias = Annotated[
    TimeLimit,
    PlainValidator(_parse_time),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^{_TIME.pattern}$", "examples": ["2 h", "90 s"]}),
]


class Train(Part):
    """A training script of the user's own.

    Attributes:
        command: Split as a shell would, and run without one, from the folder of the spec; `{seed}` stands for the seed.
        files: What counts beside the files that the command names, which are part of a run's identity anyway.
        steps_per_epoch: Updates that it calls an epoch.
        timeout: Longest time that a run may take; None for no limit.
    """

    command: Annotated[str, Field(min_length=1, max_length=MAX_COMMAND)]
    files: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=MAX_PATH)], ...], Field(max_length=MAX_FILES)
    ] = ()
    steps_per_epoch: Annotated[Whole, Field(ge=1, le=MAX_STEPS_PER_EPOCH)]
    timeout: Timeout | None = None

    @field_validator("command")
    @classmethod
    def _check_command(cls, command: str) -> str:
        allowed = "a command as a shell would split it, such as 'python train.py --seed {seed}'"
        try:
            words = shlex.split(command)
        except ValueError as err:
            raise ValueError(f"{allowed} ({str(err).lower()})") from err
        if not words or not command.isprintable():
            raise ValueError(allowed)
        for name in _PLACEHOLDER.findall(command):
            if name != "seed":
                raise ValueError(
                    f"{allowed}; {{{name}}} is no placeholder, {{seed}} is the only one: the script finds all else in run.json "
                    f"in the folder CLRBENCH_RUN{nearest(name, ['seed'])}"
                )
        if signs := sorted({word for word in words if word in {"|", "||", "&&", "&", ";", ">", ">>", "<"}}):
            raise ValueError(
                f"{allowed}; no shell runs it, so {signs[0]} means nothing: put it into a script, sh train.sh"
            )
        return command

    def words(self, seed: int) -> list[str]:
        """Return the command of a run, split into words."""
        return [word.replace("{seed}", str(seed)) for word in shlex.split(self.command)]

    @property
    def known_by(self) -> str:
        """The command without the path of its interpreter, by which a run is known again on another machine."""
        first = shlex.split(self.command)[0]
        return self.command.replace(first, Path(first).name, 1) if _is_program(first) else self.command

    def named_files(self, folder: Path) -> list[str]:
        """Return the files of the command that lie in a folder, or below it, and those of `files`, each once."""
        first, *others = shlex.split(self.command)
        words = [*([] if _is_program(first) else [first]), *others]
        parts = [part for word in words for part in (word, word.partition("=")[2])]
        named = [part for part in parts if part and not Path(part).is_absolute() and (folder / part).is_file()]
        return list(dict.fromkeys([*named, *self.files]))

    @property
    def sizes(self) -> DatasetSizes:
        """As many rows as an epoch has updates: batches of 1, so that epochs are as long as the script says.

        How many rows it validates and tests on is not known; a single one stands for any.
        """
        return DatasetSizes(self.steps_per_epoch, 1, (1, 1, 1), validation_rows=1)


UNSEEN_DATA = Data.model_construct(dataset=SCRIPT, validation=Share(10, "%"))
"""Stands where a spec has its data: what a script trains on is its own business."""


def refuse_beside_train(content: Mapping[str, object]) -> None:
    """Raise an error for a validator where a spec with `train` holds a key that this stands in place of."""
    for key in PLACES:
        if key in content:
            raise at_name((key,), f"no such key beside train; {_ADVICE.get(key, 'the script decides that itself')}")
    arms = content.get("arms")
    for name, arm in arms.items() if isinstance(arms, Mapping) else ():
        for key in ("batch_size", "optimizer"):
            if isinstance(arm, Mapping) and key in arm:
                raise at_name(("arms", str(name), key), f"no such key beside train; {_ADVICE['arm']}")


_ADVICE = {
    "backends": f"its one backend is called {SCRIPT}",
    "arm": "the script finds the name of its arm in run.json, and may set what it likes by that",
}


def _is_program(word: str) -> bool:
    """Return whether the first word of a command is an interpreter, wherever it lies, rather than a script itself."""
    path = Path(word)
    return path.is_absolute() or (len(path.parts) > 1 and _INTERPRETER.fullmatch(path.name) is not None)
