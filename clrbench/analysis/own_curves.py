"""Curves of range tests in tables that other programs wrote: which column is what, and the seeds side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from clrbench.analysis.own_bounds import OwnBounds, own_curve_table
from clrbench.counted import counted
from clrbench.errors import SpecError
from clrbench.rates.own_curve import OwnCurve, rates_of
from clrbench.records import DoubleArray
from clrbench.spec.messages import nearest
from clrbench.store.own_table import OwnTable, is_missing, number, number_advice

Role: TypeAlias = Literal["lr", "loss", "accuracy", "seed"]

_ACCURACY = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy")
_LOSS = ("loss", "losses")
_SPLITS = ("validation_", "val_", "valid_", "dev_")
_TRAINED = ("", "train_", "trn_", "training_", "batch_")
_NAMES: Mapping[Role, tuple[str, ...]] = {
    "lr": ("lr", "learning_rate", "lrs", "learningrate", "learning rate", "lr-sgd", "lr-adam", "rate"),
    "seed": ("seed", "run", "trial", "repeat", "fold"),
    "loss": _LOSS,
    "accuracy": _ACCURACY,
}
_SAME_RATES = 1e-6
MAX_CURVES = 1000


@dataclass(frozen=True)
class CurveColumns:
    """The columns that somebody named, by what they hold."""

    named: Mapping[Role, str] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Mapping[str, str | None]) -> Self:
        """Return those that are named among `lr`, `loss`, `accuracy` and `seed`."""
        roles: tuple[Role, ...] = get_args(Role)
        return cls({role: name for role in roles if (name := columns.get(role)) is not None})


@dataclass(frozen=True, eq=False)
class _Curve:
    name: str
    lr: DoubleArray
    loss: DoubleArray
    accuracy: DoubleArray


def read_own_bounds(tables: Sequence[OwnTable], columns: CurveColumns) -> OwnBounds:
    """Return what the curves in tables suggest; each table, or each seed in one, is a seed.

    Raises:
        SpecError: If a column is missing, a field is no number, or the rates do not ascend.
    """
    notes: list[str] = []
    curves: list[_Curve] = []
    evaluated: set[str] = {"loss", "accuracy"}
    for table in tables:
        chosen = _chosen(table, columns)
        evaluated &= {role for role, name in chosen.items() if name.lower().strip().startswith(_SPLITS)}
        said = ", ".join(f"{role} from {name}" for role, name in chosen.items() if role != "seed")
        notes.append(f"{table.path.name}: {said}" + (f", seeds from {chosen['seed']}" if "seed" in chosen else ""))
        curves += _curves(table, chosen, notes)
    if len(curves) > MAX_CURVES:
        raise SpecError(
            f"got {counted(len(curves), 'curve')}; allowed: at most {MAX_CURVES}; is the column of seeds another?"
        )
    if len(curves) > 1 and len({curve.name for curve in curves}) == len(curves):
        names = [curve.name for curve in curves]
        if names != [str(place) for place in range(len(curves))]:
            notes.append("Seeds: " + ", ".join(f"{place} is {name}" for place, name in enumerate(names)))
    curve = replace(_side_by_side(_in_fractions(curves, notes), notes), evaluated=frozenset(evaluated))
    return OwnBounds(rates_of(curve), own_curve_table(curve), tuple(dict.fromkeys(notes)))


def _chosen(table: OwnTable, columns: CurveColumns) -> dict[Role, str]:
    """Return the column of each role; loss and accuracy of validation rows go before those of mini-batches."""
    filled = [name for name in table.columns if not all(map(is_missing, table.column(name)))]
    chosen: dict[Role, str] = {}
    for role, name in columns.named.items():
        if name not in table.columns:
            raise SpecError(
                f"{table.path}: has no column {name!r}; it has {table.listed}{nearest(name, table.columns)}"
            )
        chosen[role] = name
    by_name = {name.lower().strip(): name for name in reversed(filled)}
    for role in ("lr", "seed"):
        found = next((by_name[name] for name in _NAMES[role] if name in by_name), None)
        if found is None and role == "lr":  # Lightning's monitor calls it lr-AdamW, lr-SGD/pg1 and so on
            found = next(iter([name for key, name in by_name.items() if key.startswith("lr-")]), None)
        if role not in chosen and found is not None:
            chosen[role] = found
    for prefixes in (_SPLITS, _TRAINED):
        for role in ("loss", "accuracy"):
            spelt = (f"{prefix}{name}" for name in _NAMES[role] for prefix in prefixes)
            found = next((by_name[name] for name in spelt if name in by_name), None)
            if role not in chosen and found is not None:
                chosen[role] = found
    for role in ("lr", "loss"):
        if role not in chosen:
            raise SpecError(
                f"{table.path}: no column looks like {'the learning rate' if role == 'lr' else 'a loss'}; it has "
                f"{table.listed}; name it with --{role} COLUMN"
            )
    order: tuple[Role, ...] = ("lr", "loss", "accuracy", "seed")
    return {role: chosen[role] for role in order if role in chosen}


def _curves(table: OwnTable, chosen: Mapping[Role, str], notes: list[str]) -> list[_Curve]:
    values = {role: _numbers(table, name) for role, name in chosen.items() if role != "seed"}
    seeds = np.array(table.column(chosen["seed"]) if "seed" in chosen else [table.path.name] * len(table.rows))
    values.setdefault("accuracy", np.full(len(seeds), np.nan))
    missing = {role: np.isneginf(column) for role, column in values.items()}
    there = ~missing["lr"] & ~missing["loss"] & ~missing["accuracy"]
    if not there.any():
        raise SpecError(
            f"{table.path}: no row has all of {', '.join(chosen.values())}; name others with --loss, --accuracy"
        )
    if (~there).sum():
        notes.append(
            f"{table.path.name}: {int((~there).sum())} of {counted(len(there), 'row')} left out, as a field in them is empty"
        )
    there &= _above_zero(table, values["lr"], there, notes)
    if "accuracy" in chosen:
        _check_accuracy(table, chosen["accuracy"], values["accuracy"][there])
    found = []
    for seed in dict.fromkeys(seeds.tolist()):
        rows = np.flatnonzero(there & (seeds == seed))
        if not len(rows):
            notes.append(f"{table.path.name}: seed {seed} left out, as no row of it is left")
            continue
        _check_ascending(table, values["lr"], rows)
        lr, loss, accuracy = (values[role][rows] for role in ("lr", "loss", "accuracy"))
        found.append(_Curve(str(seed), lr, loss, accuracy))
    if not found:
        raise SpecError(
            f"{table.path}: no row with all of {', '.join(chosen.values())} has a rate above 0; allowed: rates that rise from "
            "above 0; name another column with --lr"
        )
    return found


def _numbers(table: OwnTable, name: str) -> DoubleArray:
    """Return a column as numbers; -inf, which no curve holds, where a field is empty."""
    found = np.empty(len(table.rows))
    for row, text in enumerate(table.column(name)):
        value = -np.inf if is_missing(text) else number(text)
        if value is None:
            raise SpecError(
                f"{table.at(row)}: {name}: got {text[:60]!r}; allowed: a number, or nan where it diverged{number_advice(text)}"
            )
        found[row] = value
    return found


def _above_zero(
    table: OwnTable, lr: DoubleArray, there: npt.NDArray[np.bool_], notes: list[str]
) -> npt.NDArray[np.bool_]:
    bad = np.flatnonzero(there & ~(np.isfinite(lr) & (lr >= 0)))
    if len(bad):
        raise SpecError(f"{table.at(int(bad[0]))}: the learning rate is {lr[bad[0]]:g}; allowed: a number above 0")
    if zeros := int((there & (lr == 0)).sum()):
        notes.append(f"{table.path.name}: {counted(zeros, 'row')} at rate 0 left out")
    return lr > 0


def _check_ascending(table: OwnTable, lr: DoubleArray, rows: npt.NDArray[np.intp]) -> None:
    falls = np.flatnonzero(np.diff(lr[rows]) < 0)
    if len(falls):
        row = int(rows[falls[0] + 1])
        raise SpecError(
            f"{table.at(row)}: the learning rate falls here, to {lr[row]:g}; allowed: one that rises throughout a range test. "
            "Several sweeps in a file need a column of seeds: name it with --seed COLUMN"
        )


def _check_accuracy(table: OwnTable, name: str, accuracy: DoubleArray) -> None:
    known = accuracy[np.isfinite(accuracy)]
    if len(known) and (known.max() > 100 or known.min() < 0):
        got = f"got values from {known.min():g} to {known.max():g}"
        raise SpecError(f"{table.path}: {name}: {got}; allowed: fractions or per cent")


def _in_fractions(curves: Sequence[_Curve], notes: list[str]) -> list[_Curve]:
    """Return curves whose accuracies are fractions: where any exceeds 1, all are per cent, also of a seed that never learns."""
    if not any((curve.accuracy > 1).any() for curve in curves):
        return list(curves)
    notes.append("accuracy: per cent, as it exceeds 1")
    return [replace(curve, accuracy=curve.accuracy / 100) for curve in curves]


def _side_by_side(curves: Sequence[_Curve], notes: list[str]) -> OwnCurve:
    """Return the curves on one grid of rates: their own where it is the same, else that of the longest, between its ends."""
    longest = max(curves, key=lambda curve: len(curve.lr))
    points = len(longest.lr)

    def has_grid(curve: _Curve) -> bool:
        return bool(np.allclose(curve.lr, longest.lr[: len(curve.lr)], rtol=_SAME_RATES, atol=0))

    if all(map(has_grid, curves)):
        loss, accuracy = (
            np.array(
                [np.pad(getattr(curve, name), (0, points - len(curve.lr)), constant_values=np.nan) for curve in curves]
            )
            for name in ("loss", "accuracy")
        )
        lr = longest.lr
    else:
        notes.append(
            "The curves have different rates; they are read at those of the longest, in between linearly in log lr"
        )
        low, high = max(curve.lr[0] for curve in curves), max(curve.lr[-1] for curve in curves)
        lr = longest.lr[(longest.lr >= low) & (longest.lr <= high)]
        loss = _interpolated(curves, lr, "loss")
        accuracy = _interpolated(curves, lr, "accuracy")
    if not len(lr):
        raise SpecError("the curves have no rates in common; give curves of the same range test")
    if len(lr) > 1 and lr[0] == lr[-1]:
        raise SpecError(
            f"the learning rate is {lr[0]:g} throughout; allowed: one that rises; name another column with --lr"
        )
    return OwnCurve(lr, loss, None if np.isnan(accuracy).all() else accuracy, tuple(range(len(curves))))


def _interpolated(curves: Iterable[_Curve], lr: DoubleArray, name: str) -> DoubleArray:
    rows = [np.interp(np.log(lr), np.log(curve.lr), getattr(curve, name), right=np.nan) for curve in curves]
    return np.array(rows)
