"""Which column of tables that other trainers wrote is what: named by the user, or guessed by its name, and then said."""

import re
from collections.abc import Collection, Sequence

from clrbench.errors import SpecError
from clrbench.spec.messages import nearest
from clrbench.store.own_table import MAX_NAMES, OwnTable, number

ARM_NAMES = (
    *("arm", "arms", "method", "model", "variant", "condition", "algorithm", "config", "configuration", "treatment"),
    *("setting", "schedule", "optimizer", "system", "approach", "policy", "name"),
)
PAIR_NAMES = (
    *("pair", "seed", "seeds", "random_seed", "rng_seed", "fold", "split", "replicate", "rep", "repeat", "repetition"),
    *("trial", "run", "run_id", "subject", "block"),
)
STEP_NAMES = ("step", "global_step", "iteration", "iter", "update", "epoch", "round")
METRIC_NAMES = (
    *("test_accuracy", "test_acc", "accuracy", "acc", "val_accuracy", "validation_accuracy", "val_acc", "top1"),
    *("score", "f1", "auc", "auroc", "bleu", "reward", "return", "metric", "value", "result"),
    *("test_loss", "val_loss", "validation_loss", "loss", "error", "perplexity"),
)
_BY_NAME, _BY_NUMBERS = "by its name", "the only other one that holds numbers"
"""Why a column was taken for what it is."""


class Columns:
    """The columns that all tables share, and the guesses that are said."""

    def __init__(self, tables: Sequence[OwnTable], notes: list[str]) -> None:
        self._tables, self._notes = tables, notes
        first, *others = tables
        self._names = [name for name in first.columns if all(name in table.columns for table in others)]

    def named(self, role: str, name: str | None) -> str | None:
        """Return a column that somebody named; a SpecError says which are there where it is not."""
        if name is None or name in self._names:
            return name
        table = next(table for table in self._tables if name not in table.columns)
        raise SpecError(
            f"{table.path}: has no column {name!r} (option {role}); it has {table.listed}{nearest(name, table.columns)}"
        )

    def guessed(
        self, role: str, known: Collection[str], taken: Collection[str | None], *, varies: bool = False
    ) -> str | None:
        """Return the one column that sounds like a role; None without any. Of several, none is taken."""
        found = [name for name in self._like(known, taken) if not varies or self._varies(name)]
        if len(found) > 1:  # the name or number of a run says neither what it is of nor what it goes with
            found = [name for name in found if not self._is_key(name)] or found
        if len(found) > 1:
            raise SpecError(
                f"{self._tables[0].path}: {' and '.join(found)} may each be the {role}; name the one with the option {role}"
            )
        return self._said(role, found)

    def first(self, role: str, known: Collection[str], taken: Collection[str | None]) -> str | None:
        """Return the first of the columns that sound like a role."""
        return self._said(role, sorted(self._like(known, taken), key=lambda name: list(known).index(name.lower()))[:1])

    def metric(self, taken: Collection[str | None]) -> str:
        """Return the one column that sounds like a metric, or the one that holds numbers."""
        why, found = _BY_NAME, self._like(METRIC_NAMES, taken)
        if not found:
            why, found = _BY_NUMBERS, [name for name in self._names if name not in taken and self._numeric(name)]
        if len(found) == 1:
            self._said("metric", found, why)
            return found[0]
        if found:
            raise SpecError(
                f"{self._tables[0].path}: {cut(found)} may each be the metric; name it with the option metric"
            )
        raise SpecError(f"{self._lacking('the metric')}; name it with the option metric")

    def no_arms(self, taken: Collection[str | None]) -> str:
        """Return why no column is taken for that of the arms, and what to do."""
        for name in self._like(ARM_NAMES, taken):
            value = self._tables[0].column(name)[0]
            return (
                f"{self._tables[0].path}: column {name} has one value ({value[:60]!r}), so there is nothing to compare; "
                "add the runs of another arm, or name other columns with the option arm or arms"
            )
        return (
            f"{self._lacking('the arms')}; name it with the option arm, or, where each arm is a column, these with arms"
        )

    def _lacking(self, what: str) -> str:
        return f"{self._tables[0].path}: no column looks like {what}; it has {cut(self._names)}"

    def _like(self, known: Collection[str], taken: Collection[str | None]) -> list[str]:
        """Return the columns of known names, alone or after what they are of: `params.seed`, `test/accuracy`."""
        return [name for name in self._names if name not in taken and _known_part(name) in known]

    def _varies(self, name: str) -> bool:
        return len({field for table in self._tables for field in table.column(name)}) > 1

    def _is_key(self, name: str) -> bool:
        """Return whether each row has a value of its own."""
        fields = [field for table in self._tables for field in table.column(name)]
        return len(fields) > 1 and len(set(fields)) == len(fields)

    def _numeric(self, name: str) -> bool:
        return all(number(field) is not None for table in self._tables for field in table.column(name))

    def _said(self, role: str, found: list[str], why: str = _BY_NAME) -> str | None:
        if found:
            self._notes.append(f"{role}: column {found[0]}, {why}")
        return found[0] if found else None


def _known_part(name: str) -> str:
    """Return the name of a column without what it is of, such as `params.` or `test/`; of training rows, as it is."""
    whole = name.lower()
    of, _, last = whole.replace("/", ".").rpartition(".")
    return whole if words_of(of) & {"train", "training", "trn"} else last


def words_of(name: str) -> set[str]:
    """Return the words of a name, in lower case."""
    return set(re.split(r"[\W_]+", name.lower()))


def cut(names: Sequence[str]) -> str:
    """Return names, as many as a message holds, and how many more there are."""
    more = f", and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
