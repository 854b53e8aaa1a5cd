"""What is to be said of runs that were made once more."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from clrbench.analysis.reruns import Likeness, Outcome, Parting
from clrbench.execution.provenance import Change


@dataclass(frozen=True)
class Rerun:
    """A run and its rerun.

    Attributes:
        run_id: The run.
        folder: Where it lies in the folder of the experiment.
        likeness: Both side by side.
        statuses: `finished` or `diverged`, then and now.
        changes: The provenance entries in which they differ.
        unrecorded: The provenance entries that the version of then did not record.
        new_identity: The identity that this version gives the run, where that is another one; else None.
        protocols: The numbers of the protocol, then (None where not recorded) and now.
    """

    run_id: str
    folder: str
    likeness: Likeness
    statuses: tuple[str, str]
    changes: list[Change]
    unrecorded: list[str]
    new_identity: str | None
    protocols: tuple[int | None, int]

    @property
    def outcome(self) -> Outcome:
        """How much alike they are."""
        return self.likeness.outcome

    @property
    def text(self) -> str:
        """The outcome, and where the run and its rerun part."""
        updates, evaluations = (group[0].num_rows for group in (self.likeness.updates, self.likeness.evaluations))
        head = f"{self.run_id}: {self.outcome} ({self.statuses[0]}; {updates} updates, {evaluations} evaluations)"
        return "\n".join([head, *(f"  {line}" for line in self._lines())])

    @property
    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        likeness = self.likeness
        return {
            "run_id": self.run_id,
            "folder": self.folder,
            "outcome": str(self.outcome),
            "status": self.statuses[0],
            "status_now": self.statuses[1],
            "first_update_apart": likeness.first_update and likeness.first_update.first_step,
            "begins_as_rounding": likeness.begins_as_rounding,
            "first_evaluation_apart": likeness.first_evaluation and likeness.first_evaluation.first_step,
            "updates": {parting.column: _plain(parting) for parting in likeness.updates},
            "evaluations": {parting.column: _plain(parting) for parting in likeness.evaluations},
            "last_evaluation": {
                column: {"before": _finite(before), "now": _finite(now)}
                for column, (before, now) in likeness.last_evaluation.items()
            },
            "provenance_changes": [
                {"entry": change.entry, "before": change.before, "now": change.after} for change in self.changes
            ],
            "provenance_not_recorded": self.unrecorded,
            "new_identity": self.new_identity,
        }

    def _lines(self) -> Iterator[str]:
        if self.new_identity is not None:
            yield f"clrbench compare would make it anew, as its identity is another one now: {self._identity_words()}"
        if self.outcome is Outcome.BIT_EQUAL:
            return
        yield from _parting_lines(self.likeness)
        if self.statuses[0] != self.statuses[1]:
            yield f"{self.statuses[0]} then, {self.statuses[1]} now"
        if self.likeness.last_evaluation:
            last = self.likeness.last_evaluation.items()
            values = (f"{key} {then:.9g} then, {now:.9g} now" for key, (then, now) in last)
            yield f"last evaluation: {'; '.join(values)}"
        if self.changes:
            yield "made with other things: " + "; ".join(map(_change_words, self.changes))
        else:
            yield "nothing differs in what was recorded of how the two were made"
        if self.unrecorded:
            yield f"not recorded then: {', '.join(self.unrecorded)}"

    def _identity_words(self) -> str:
        then, now = self.protocols
        if then is not None and then != now:
            return f"it was made by protocol {then}, and this version follows {now}, which gives other numbers"
        return "this version counts other entries of a spec, or draws other weights"


@dataclass(frozen=True)
class Verification:
    """All runs of one experiment that were made once more.

    Attributes:
        results: The folder of the experiment.
        reruns: Of each run.
        has_answer: Always.
    """

    results: str
    reruns: list[Rerun]
    has_answer = True

    @property
    def has_failed(self) -> bool:
        """Whether any run came out different."""
        return any(rerun.outcome is Outcome.DIFFERENT for rerun in self.reruns)

    @property
    def text(self) -> str:
        """How many runs came out how, then each."""
        texts = [rerun.text for rerun in self.reruns]
        if len(texts) == 1:
            return texts[0]
        counts = Counter(rerun.outcome for rerun in self.reruns)
        summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
        return "\n".join([f"{self.results}: {len(texts)} runs made again: {summary}", *texts])

    @property
    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        counts = Counter(rerun.outcome for rerun in self.reruns)
        return {
            "results": self.results,
            "outcomes": {str(outcome): counts[outcome] for outcome in Outcome},
            "runs": [rerun.data for rerun in self.reruns],
        }


def _parting_lines(likeness: Likeness) -> Iterator[str]:
    if not likeness.same_rows:
        yield "the two have other updates or evaluations; compared are those that both have"
    places = [
        f"{what} {parting.first_step} ({parting.column})"
        for what, parting in (
            ("at update", likeness.first_update),
            ("at the evaluation after update", likeness.first_evaluation),
        )
        if parting is not None
    ]
    if places:
        yield f"they part {', and '.join(places)}"
    if likeness.first_update is not None:
        yield f"the first update that differs does so by {likeness.first_update.first_relative:.2g}, relatively: " + (
            "as other arithmetic rounds, which training then lets grow"
            if likeness.begins_as_rounding
            else "more than rounding; data, weights, rates or an update rule are not the same"
        )
    for parting in (*likeness.updates, *likeness.evaluations):
        if parting.num_apart:
            yield _parting_words(parting)


def _parting_words(parting: Parting) -> str:
    number = f"{parting.column}: {parting.num_apart} of {parting.num_rows} differ"
    if not isfinite(parting.largest_absolute):
        return f"{number}; after update {parting.largest_absolute_step} one of the two is nan or infinite"
    return (
        f"{number}, by at most {parting.largest_absolute:.3g} (update {parting.largest_absolute_step}), relatively "
        f"{parting.largest_relative:.3g} (update {parting.largest_relative_step})"
        f"{'' if parting.within else '; beyond the tolerance'}"
    )


def _change_words(change: Change) -> str:
    before, after = ("not set" if value is None else value for value in (change.before, change.after))
    return f"{change.entry} {before} then, {after} now"


def _plain(parting: Parting) -> dict[str, Any]:
    plain = asdict(parting)
    del plain["column"]
    return {key: _finite(value) if isinstance(value, float) else value for key, value in plain.items()}


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
