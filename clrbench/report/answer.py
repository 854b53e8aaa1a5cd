"""The sentences of the answer at a glance, one formatter a fact; terminal and page say the same words."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from clrbench.analysis.comparison import read_rows
from clrbench.analysis.glance import BackendGlance, Glance, Judged, RateFound, TimeToTarget, Use
from clrbench.analysis.starts import Start
from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.report import words
from clrbench.report.console import KEPT_TOGETHER
from clrbench.report.looks import look_remarks, unasked_words
from clrbench.report.own_network import mixed_words
from clrbench.report.values import Values, difference_words, verdict_values
from clrbench.spec import Length, Schedule, Spec

NOTHING_TO_COMPARE = "There is nothing to compare: no two arms have a pair of finished runs."
MAX_SENTENCE_WORDS = 25
"""A sentence that would have more counts arms in place of naming them."""

MAX_COMMAND = 60
"""Characters shown of a command."""

SIGNS = {"better": "+", "worse": "-", "equivalent": "=", "no difference shown": "~", "cannot tell": "?"}
"""Stands before each verdict, so that it can be told without colour."""
_VERDICTS_IN_TABLE = {"no difference shown": "none shown"}
_TOGETHER = {
    "better": "{candidates} beat {baseline}",
    "worse": "{baseline} beats {candidates}",
    "equivalent": "{candidates} equivalent to {baseline}",
    "no difference shown": "no difference from {baseline} shown for {candidates}",
    "cannot tell": "cannot tell {candidates} from {baseline}",
}
_EACH = {
    "better": "each arm beats its baseline.",
    "worse": "each arm is beaten by its baseline.",
    "no difference shown": "no difference shown between any arm and its baseline.",
}
MANY_BASELINES = 3
"""So many baselines with the same outcome are not named one after the other."""
_NOT_BETTER = " (best mean; not shown to beat {})"
_AFTER_ANOTHER = {
    "no difference shown": "no difference shown for {candidates}",
    "cannot tell": "cannot tell {candidates} from it",
}


def asked_line(answer: Glance) -> str:
    """Return what was asked: model, data, rows, optimizer, batch, length and seeds; of a script, its command."""
    spec = answer.spec
    if spec.train is not None:
        return (
            f"{spec.name}: {scope_words(spec)}, {words.listed(list(dict.fromkeys(_durations(spec))))}, "
            f"{counted(len(spec.seeds), 'seed')}; {_measured(spec)}"
        )
    arms = [spec.resolved_arm(name) for name in spec.arms]
    optimizers, batches, lengths = (
        words.listed(list(dict.fromkeys(values)))
        for values in (
            [arm.optimizer.name for arm in arms],
            [str(arm.batch_size) for arm in arms],
            _durations(spec),
        )
    )
    rows = f", {counted(answer.train_rows, 'row')}" if answer.train_rows else ""
    return (
        f"{spec.name}: {scope_words(spec)}{rows}, {optimizers}, batch {batches}, "
        f"{lengths}, {counted(len(spec.seeds), 'seed')}; {_measured(spec)}"
    )


def _measured(spec: Spec) -> str:
    """Return what the table measures, and, where there are several seeds, what stands behind `+-`."""
    measured = measured_words(spec.verdict.metric, own=spec.train is not None)
    return f"{measured}, {'mean +- sd'.replace(' ', KEPT_TOGETHER)}" if len(spec.seeds) > 1 else measured


def scope_words(spec: Spec) -> str:
    """Return what is trained on what, such as `mlp on mnist`; of a script, its command."""
    if spec.train is None:
        return f"{spec.model.name} on {Path(spec.data.dataset).name}"
    known_by = spec.train.known_by
    return known_by if len(known_by) <= MAX_COMMAND else f"{known_by[: MAX_COMMAND - 3]}..."


def _durations(spec: Spec) -> list[str]:
    return [str(spec.resolved_arm(name).duration) for name in spec.arms]


def rate_lines(answer: Glance) -> Iterator[str]:
    """Yield the rates of each backend; backends, and arms, that have the same in one line."""
    yield from _grouped([(one.backend, text) for one in answer.backends for text in _rates_of_arms(one.rates)])


def _rates_of_arms(rates: Sequence[RateFound]) -> Iterator[str]:
    """Yield the rates of one backend: those of the whole experiment, those tuned, and those of a range test of some arms."""
    lines = [(None if found.source == "tuned" else found.arm, rate_words(found)) for found in rates]
    yield from dict.fromkeys(text for arm, text in lines if arm is None)
    yield from _grouped([(arm, text) for arm, text in lines if arm is not None])


def beat_lines(answer: Glance, findings: Findings) -> Iterator[str]:
    """Yield which arms beat the baseline on each backend, and what belongs to that answer; the same ones in one line."""
    found = []
    values = verdict_values(answer)
    for backend in answer.backends:
        shown = {one.label for one in backend.standings}
        twins = [one.comparison.baseline for one in backend.judged if one.comparison.baseline not in shown]
        sentences = [*beat_sentences(backend, values, twins=twins), *remarks(backend, findings)]
        found.append((backend.backend, " ".join(sentences)))
    yield from _grouped(found)


def use_lines(answer: Glance) -> Iterator[str]:
    """Yield what to train with on each backend, those with the same in one line."""
    yield from _grouped([(one.backend, use_words(one.use)) for one in answer.backends if one.use])


def _grouped(lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield each text once, after the names that it holds for."""
    for text in dict.fromkeys(text for _, text in lines):
        yield f"{', '.join(name for name, of_name in lines if of_name == text)}: {text}"


def rate_words(found: RateFound) -> str:
    """Return the rates that were found and whether training confirmed them, for which arms only where they were tuned."""
    if found.source == "not known":
        return "from a range test whose results are not here"
    if found.source == "given":
        return "as given in the spec; no search was run"
    if found.source == "tuned":
        return f"{found.arm} {words.found_rate_words(found.tuned_lr)}, the best rate tried on validation rows"
    confirmed = "only the constant confirmed" if found.only_constant else "confirmed"
    how = confirmed if found.source == "confirmed" else "not confirmed"
    tuned = (
        ""
        if found.tuned_lr in {None, found.constant_lr}
        else f"; constant tuned to {words.found_rate_words(found.tuned_lr)}"
    )
    return f"{words.range_test_words(found)}, {how}{tuned}"


def beat_sentences(answer: BackendGlance, values: Values, *, twins: Sequence[str] = ()) -> Iterator[str]:
    """Yield which arms beat each baseline, that of the table first; by how much, where that is not in the table.

    `twins` are baselines that stand for another one.
    """
    if not answer.judged:
        yield NOTHING_TO_COMPARE
    baselines = [answer.baseline, *(one.comparison.baseline for one in answer.judged)]
    first = [_outcome(one) for one in answer.against(answer.baseline)]
    if (shared := _shared_outcome(answer)) is not None:
        yield shared
        return
    for baseline in dict.fromkeys(baselines):
        judged = answer.against(baseline)
        if not judged or baseline in twins:
            continue
        if baseline == answer.baseline:
            yield beat_sentence(judged)
        elif [_outcome(one) for one in judged] == first:
            yield f"Likewise against {words.baseline_words(baseline, untuned=judged[0].evidence.untuned)}."
        else:
            in_table = all(one.comparison in (row.comparison for row in answer.standings) for one in judged)
            yield words.begun(beat_sentence(judged, None if in_table else values))


def _shared_outcome(answer: BackendGlance) -> str | None:
    """Return what all comparisons come to where many baselines, all of them tuned, have the same outcome; else None."""
    baselines = {one.comparison.baseline for one in answer.judged}
    verdicts = {one.comparison.verdict for one in answer.judged}
    if len(baselines) < MANY_BASELINES or len(verdicts) > 1 or any(one.evidence.untuned for one in answer.judged):
        return None
    return _EACH.get(verdicts.pop())


def _outcome(one: Judged) -> tuple[str, str]:
    return one.comparison.candidate, one.comparison.verdict


def beat_sentence(judged: Sequence[Judged], values: Values | None = None) -> str:
    """Return what comparisons with one baseline come to, in one sentence; with `values`, the differences shown in numbers."""
    first = judged[0]
    baseline = words.baseline_words(first.comparison.baseline, untuned=first.evidence.untuned)
    by_verdict = {
        verdict: [_named(one, values) for one in judged if one.comparison.verdict == verdict] for verdict in SIGNS
    }
    found = {verdict: names for verdict, names in by_verdict.items() if names}
    sentence = _joined(found, baseline, counting=False)
    return sentence if len(sentence.split()) <= MAX_SENTENCE_WORDS else _joined(found, baseline, counting=True)


def _named(one: Judged, values: Values | None) -> str:
    row, evidence = one.comparison, one.evidence
    if values is None or row.verdict not in {"better", "worse"}:
        return row.candidate
    p_value = f"{words.p_label(evidence.comparisons)} {evidence.adjusted_p_value:.2g}"
    return f"{row.candidate} ({difference_words(row, values)}, {p_value})"


def _joined(found: dict[str, list[str]], baseline: str, *, counting: bool) -> str:
    clauses: list[str] = []
    for verdict, names in found.items():
        if len(names) == 1 and len(found) == 1:
            clauses.append(words.verdict_clause(verdict, names[0], baseline))
            continue
        form = _AFTER_ANOTHER.get(verdict, _TOGETHER[verdict]) if clauses else _TOGETHER[verdict]
        if len(names) == 1:
            form = form.replace(" beat ", " beats ")
        candidates = counted(len(names), "arm") if counting else ", ".join(names)
        clauses.append(form.format(candidates=candidates, baseline=baseline))
    return f"{'; '.join(clauses)}."


def remarks(answer: BackendGlance, findings: Findings) -> Iterator[str]:
    """Yield what belongs to the answer on a backend beside its numbers: what is missing, left out, collapsed or at stake."""
    if "starts" in findings.tables:
        yield from words.starts_words(read_rows(Start, findings.tables["starts"]))
    yield from look_remarks([one.evidence for one in answer.judged], findings)
    mixed = sum(one.contest.backend == answer.backend for one in findings.mixed_pairs)
    if mixed:
        yield f"{counted(mixed, 'pair')} left out: made with {mixed_words(findings)}."
    if seeds := findings.unasked_seeds.get(answer.backend):
        yield f"{words.capital(unasked_words(seeds))}."
    yield from _withheld(answer)
    if any(map(_is_undone_by_adjusting, answer.judged)):
        yield "Verdicts are adjusted for multiple comparisons; intervals are not."
    yield from _moved(answer)
    rule = words.divergence_rule(findings.spec.verdict.metric, own=findings.spec.train is not None)
    summaries = (findings.tables["summary"], findings.tables["given"])
    for divergence in (one for table in summaries for one in words.divergences(table)):
        if divergence.backend == answer.backend:
            yield f"{divergence.clause}; {rule}."
    for row in findings.tables["one_class"].itertuples(index=False, name=None):
        one = words.OneClass(*row)
        if one.backend == answer.backend:
            yield f"{words.capital(one.sentence)}."
    yield from words.collapse_remarks(answer.collapse)


def _is_undone_by_adjusting(one: Judged) -> bool:
    """Return whether a comparison would show a difference if it were the only one; its interval then leaves 0 out."""
    return one.comparison.p_value <= one.evidence.alpha < one.evidence.adjusted_p_value


def _withheld(answer: BackendGlance) -> Iterator[str]:
    """Yield why comparisons whose runs are all there come to no verdict, first how many seeds one would take."""
    found = [(one.grounds.reason, one) for one in answer.judged]
    sentences = [(reason, words.no_verdict(one.comparison, one.evidence, reason)) for reason, one in found if reason]
    yield from sorted({text for reason, text in sentences if reason == "too few"})
    yield from (text for reason, text in sentences if text and reason != "too few")


def _moved(answer: BackendGlance) -> Iterator[str]:
    epochs = {one.evidence.epoch for one in answer.judged if one.evidence.moved}
    for epoch in sorted(epochs):
        yield f"Compared at epoch {epoch:g}, the end of the last whole cycle: training ends mid-cycle."


def verdict_words(verdict: str) -> str:
    """Return a verdict with its sign, as a table has it."""
    return f"{SIGNS[verdict]} {_VERDICTS_IN_TABLE.get(verdict, verdict)}"


def time_words(time: TimeToTarget) -> str:
    """Return when the median run of an arm reached a target; where not all runs did, how many: `6 ep 8/10`, `2/10`."""
    there = f"{time.runs - time.misses}/{time.runs}" if time.misses else ""
    epochs = f"{time.median_epochs:.3g} ep" if math.isfinite(time.median_epochs) else ""
    return " ".join(filter(None, [epochs, there])) or "-"


def target_heading(metric: str, target: float) -> str:
    """Return the heading of a column of times to a target."""
    return f"to {Values.of(metric, 0).target(target)}"


def use_words(use: Use) -> str:
    """Return an arm's schedule as it is typed into a script, how many updates it lasts, and where it may be no better."""
    if use.schedule is None:
        return f"{use.label}: see its rates in schedule.csv"
    label = "" if use.label == use.schedule.name else f"{use.label}: "
    doubt = (
        ""
        if use.comparison is None or use.comparison.verdict == "better"
        else _NOT_BETTER.format(use.comparison.baseline)
    )
    return f"{label}{schedule_words(use.schedule)}, {counted(use.num_steps, 'update')}{doubt}"


def schedule_words(schedule: Schedule) -> str:
    """Return a schedule as it is typed into a script, without defaults: `triangular(base_lr=0.01, max_lr=0.1, cycles=3)`."""
    defaults = {name: field.default for name, field in type(schedule).model_fields.items()}
    content = {name: value for name, value in schedule if name != "name" and value != defaults[name]}
    return f"{schedule.name}({', '.join(f'{name}={_argument(value)}' for name, value in content.items())})"


def _argument(value: object) -> str:
    if isinstance(value, Length):
        return repr(str(value))
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def measured_words(metric: str, *, own: bool = False) -> str:
    """Return what is measured and its unit, which stay on one line: `accuracy in %`."""
    unit = Values.of(metric, 0, own=own).unit
    measured = f"{metric.rpartition('_')[2]} in {unit}" if unit else words.plain(metric)
    return measured.replace(" ", KEPT_TOGETHER)


def gist(warning: str) -> str:
    """Return the first clause of a warning, which says what is wrong."""
    return warning.partition(";")[0]
