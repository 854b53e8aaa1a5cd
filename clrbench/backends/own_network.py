"""What every framework asks of a network of the user's own: how it is built, its random numbers, and what is wrong with it."""

import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from clrbench.backends.protocol import State
from clrbench.counted import counted
from clrbench.errors import BackendError
from clrbench.layers import OwnNetwork
from clrbench.own_code import Code
from clrbench.records import FloatArray

IMPORT_SEED, EVALUATION_SEED = 0, 1
"""Of what is drawn while its file is imported, and while it is evaluated: whatever the run."""

OWN_EVALUATION_ROWS = 250
"""Rows evaluated at once: how large the values within a network of the user's own are is not known."""

NAN = math.nan

Array = npt.NDArray[Any]
Made = TypeVar("Made")


class Generator(NamedTuple):
    """A generator of random numbers that a whole process shares.

    Attributes:
        get: Returns where it stands, as an array.
        set: Brings it there.
    """

    name: str
    get: Callable[[], Array]
    set: Callable[[Array], None]


def _get_python() -> Array:
    _, numbers, following = random.getstate()
    return np.array([*numbers, NAN if following is None else following], np.float64)


def _set_python(state: Array) -> None:
    numbers, following = tuple(int(number) for number in state[:-1]), float(state[-1])
    random.setstate((3, numbers, None if math.isnan(following) else following))


def _get_numpy() -> Array:
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 (the user's code may draw from it)
    return np.array([*keys, position, has_gauss, gauss], np.float64)


def _set_numpy(state: Array) -> None:
    *keys, position, has_gauss, gauss = state.tolist()
    everything = ("MT19937", np.array(keys, np.uint32), int(position), int(has_gauss), gauss)
    np.random.set_state(everything)  # noqa: NPY002


GENERATORS = (Generator("python", _get_python, _set_python), Generator("numpy", _get_numpy, _set_numpy))
"""Those of Python and numpy, from which layers that drop at random sometimes draw."""


class Randomness:
    """The random numbers of one network: drawn from generators that the process shares, and yet its own."""

    def __init__(self, generators: Sequence[Generator], seed: Callable[[int], None]) -> None:
        """Keep apart what is drawn from `GENERATORS` and those of a framework, which `seed` starts."""
        self._generators = (*GENERATORS, *generators)
        self._seed = seed
        self._kept: dict[str, Array] = {}

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Draw from a seed for a while, and leave the generators of the process as they were."""
        before = self._get()
        try:
            self._start(seed)
            yield
        finally:
            self._set(before)

    def begin(self, seed: int) -> None:
        """Let `going_on` begin at a seed."""
        with self.seeded(seed):
            self._kept = self._get()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Draw on where this network has stopped, and leave the generators of the process as they were."""
        before = self._get()
        try:
            self._set(self._kept)
            yield
            self._kept = self._get()
        finally:
            self._set(before)

    def state(self) -> dict[str, Array]:
        """Return where `going_on` stands."""
        return {f"random.{name}": np.array(array) for name, array in self._kept.items()}

    def restore(self, state: State) -> None:
        """Let `going_on` stand where `state` was taken."""
        self._kept = {one.name: np.array(state[f"random.{one.name}"]) for one in self._generators}

    def position(self) -> bytes:
        """Return where the generators of the process stand now, to see whether any is drawn from."""
        return b"".join(array.tobytes() for array in self._get().values())

    def _start(self, seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        self._seed(seed)

    def _get(self) -> dict[str, Array]:
        return {one.name: one.get() for one in self._generators}

    def _set(self, found: Mapping[str, Array]) -> None:
        for one in self._generators:
            one.set(found[one.name])


@dataclass(frozen=True)
class Builder:
    """Calls the user's function."""

    network: OwnNetwork
    image_shape: tuple[int, ...]
    num_classes: int
    randomness: Randomness

    @property
    def code(self) -> Code:
        """The function."""
        network = self.network
        return Code(network.reference, network.folder, BackendError, BackendError, network.source)

    def build(self, seed: int, finish: Callable[[object], Made]) -> Made:
        """Return what `finish` makes of what the function returns; both draw from one seed of initial weights."""
        with self.code.at_home():
            with self.randomness.seeded(IMPORT_SEED):
                function = self.code.find()
            with self.randomness.seeded(seed):
                with self.code.running("building the network"):
                    made = function(self.image_shape, self.num_classes, **json.loads(self.network.options))
                return finish(made)

    def fail(self, problem: str) -> BackendError:
        """Return the error of a network that cannot be used."""
        return BackendError(f"{self.network.reference}: {problem}")

    def wrong_kind(self, made: object, wanted: str, other: str) -> BackendError:
        """Return the error of what is no network of the framework.

        Args:
            made: What the function returned.
            wanted: What it should be, such as `torch.nn.Module`.
            other: What the other framework calls its networks.
        """
        packages = {kind.__module__.partition(".")[0] for kind in type(made).__mro__}
        backend = other.partition(".")[0]
        if backend in packages:
            return self.fail(
                f"returned a {other} where the backend expects a {wanted}; set backends: [{backend}] in the spec"
            )
        return self.fail(f"returned a {type(made).__name__}; allowed: a {wanted} with logits out")

    def check_outputs(self, shape: Sequence[int | None], dtype: str, rows: int) -> None:
        """Raise BackendError unless outputs are logits: float32[rows, classes]."""
        if tuple(shape) != (rows, self.num_classes):
            raise self.fail(
                f"for {counted(rows, 'row')} its outputs have the shape {tuple(shape)}; allowed: ({rows}, "
                f"{self.num_classes}), a logit for "
                "each class"
            )
        if dtype != "float32":
            raise self.fail(f"its outputs are {dtype}; allowed: float32 logits")

    def check_types(self, types: Mapping[str, str]) -> None:
        """Raise BackendError unless all parameters, by name, are float32."""
        others = {name: kind for name, kind in types.items() if kind != "float32"}
        for name, kind in others.items():
            more = f" (and {len(others) - 1} more)" if len(others) > 1 else ""
            raise self.fail(
                f"its parameter {name} is {kind}{more}; allowed: float32, in which everything is trained here; build it without "
                "half or double precision"
            )

    def check_same(self, first: State, second: State) -> None:
        """Raise BackendError unless two builds from one seed came to the same weights."""
        different = [name for name in first if name not in second or not _is_same(first[name], second[name])]
        different += [name for name in second if name not in first]
        if different:
            raise self.fail(
                f"two builds from one seed differ, first in {different[0]}; its initial weights must follow from the seeds of "
                "random, numpy and the framework, which are set before each build; take out clocks, files that change and "
                "generators of your own that are seeded otherwise"
            )


def output_warnings(outputs: FloatArray, at: Callable[[float], FloatArray]) -> list[str]:
    """Return what looks unmeant in the outputs of an untrained network.

    Args:
        outputs: float32[rows, classes].
        at: Returns the outputs with every trainable weight multiplied by a factor, those of the calls before included.
    """
    if not ((outputs > 0) & (outputs < 1)).all():
        return []
    if np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        kind, last = "a softmax's: between 0 and 1, and 1 in all", "softmax"
    # Few logits may lie there by chance, but not whatever the weights.
    elif all(_lies_within(at(factor)) for factor in (-1.0, 100.0, -1.0)):
        kind, last = "a sigmoid's: between 0 and 1", "sigmoid"
    else:
        return []
    return [
        f"its outputs look like {kind}; the loss takes logits and applies softmax, so it is applied twice here, which slows "
        f"training and changes which rates are good; leave the last {last} out"
    ]


def _lies_within(outputs: FloatArray) -> bool:
    return not ((outputs < 0) | (outputs > 1)).any()


def same_start_warning(*, draws: bool) -> str:
    """Return the warning about a network that starts from the same weights whatever the seed."""
    return (
        "its initial weights are the same for every seed, as those of a pretrained network are; the seeds vary only the "
        f"batches{' and what it draws while it trains, such as dropout' if draws else ''}"
    )


def is_same_state(first: State, second: State) -> bool:
    """Return whether two states hold the same arrays, bit for bit."""
    return first.keys() == second.keys() and all(_is_same(first[name], second[name]) for name in first)


def state_digest(state: State) -> str:
    """Return the SHA-256, in hex, of names, types, shapes and values of arrays."""
    digest = hashlib.sha256()
    for name, array in state.items():
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _is_same(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]) -> bool:
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()
