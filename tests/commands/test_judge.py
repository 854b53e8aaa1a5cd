"""`clrbench judge`: results that other trainers wrote, and the verdict on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judge_samples import BASE, GAIN, NEW, found, long, only, save
from scipy import stats

from clrbench.analysis.own_results import Asked
from clrbench.analysis.own_verdicts import Rules
from clrbench.answer import ExitCode
from clrbench.commands.judge import judge
from clrbench.errors import SpecError
from clrbench.report.own_verdicts import verdict_sentence, verdicts_text
from clrbench.stats import compare_paired, holm


def test_a_column_an_arm(tmp_path: Path) -> None:
    table = pd.DataFrame({"seed": range(8), "base": BASE, "new": NEW, "other": BASE[::-1]})
    judgement = found(save(tmp_path, table), arms=("base", "new", "other"))
    assert [row.candidate for row in judgement.verdicts] == ["new", "other"]
    assert judgement.verdicts[0].mean_difference == pytest.approx(np.mean(GAIN))
    raw = [compare_paired(arm, BASE).p_value for arm in (NEW, BASE[::-1])]
    assert [row.adjusted_p_value for row in judgement.verdicts] == pytest.approx(holm(raw).tolist())


def test_in_a_column_an_arm_each_row_is_a_pair(tmp_path: Path) -> None:
    table = pd.DataFrame({"base": BASE, "new": NEW})
    judgement = found(save(tmp_path, table), arms=("base", "new"))
    assert (only(judgement).test, only(judgement).pairs) == ("paired sign-flip", 8)
    assert only(judgement).p_value == compare_paired(NEW, BASE).p_value
    assert "pairs: each row is one" in judgement.notes
    assert judgement.differences["pair"].tolist() == [str(row) for row in range(1, 9)]


def test_rows_of_several_files_are_pairs_of_their_own(tmp_path: Path) -> None:
    table = pd.DataFrame({"base": BASE, "new": NEW})
    paths = [save(tmp_path, table[:4], "a.csv"), save(tmp_path, table[4:], "b.csv")]
    judgement = found(*paths, arms=("base", "new"))
    assert only(judgement).p_value == compare_paired(NEW, BASE).p_value
    assert judgement.differences["pair"].tolist()[3:5] == ["a:4", "b:1"]
    with pytest.raises(SpecError, match="got this file twice"):
        found(paths[0], paths[0], arms=("base", "new"))


def test_a_cell_of_a_row_that_is_a_pair_diverged_or_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, pd.DataFrame({"base": BASE, "new": [np.nan, *NEW[1:]], "other": NEW}))
    first, second = found(path, arms=("base", "new", "other")).verdicts
    assert (first.pairs, first.candidate_diverged, second.pairs) == (7, 1, 8)
    path.write_text(path.read_text().replace("nan", ""))
    with pytest.raises(SpecError, match=r"results.csv:2: new is empty; write nan for a run that diverged, or leave"):
        found(path, arms=("base", "new", "other"))


@pytest.mark.parametrize("seed", range(4))
def test_paired_p_is_that_of_scipy(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.normal(0.8, 0.05, 9).round(3)
    new = (base + rng.normal(0.01, 0.02, 9)).round(3)
    oracle = stats.permutation_test(
        (new - base,), lambda d, axis: d.mean(axis), permutation_type="samples", vectorized=True, n_resamples=1000
    )
    assert only(found(save(tmp_path, long(base, new)))).p_value == pytest.approx(oracle.pvalue)


@pytest.mark.parametrize("seed", range(4))
def test_without_pairs_it_is_the_unpaired_test_of_scipy(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, new = rng.normal(0.8, 0.02, 6).round(3), rng.normal(0.83, 0.02, 7).round(3)
    judgement = found(save(tmp_path, long(base, new).drop(columns="seed")))
    oracle = stats.permutation_test(
        (new, base), lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True, n_resamples=50_000
    )
    verdict = only(judgement)
    assert verdict.p_value == pytest.approx(oracle.pvalue)
    assert (verdict.test, verdict.pairs, verdict.candidate_runs) == ("unpaired permutation", 0, 7)
    assert verdict.verdict == ("better" if oracle.pvalue <= 0.05 else "no difference shown")
    assert any("no column of pairs" in note for note in judgement.notes)


def test_draws_are_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    judgement = found(save(tmp_path, long(rng.normal(0, 1, 12), rng.normal(3, 1, 12)).drop(columns="seed")))
    assert only(judgement).verdict == "better"
    assert "more than 50000 splits: 50000 random ones are used, with a fixed seed" in judgement.notes


@pytest.mark.parametrize(("paired", "runs", "needed"), [(True, 5, 6), (False, 3, 4)])
def test_too_few_say_how_many_would_do_and_what_they_show(tmp_path: Path, paired: bool, runs: int, needed: int) -> None:
    table = long(BASE[:runs], NEW[:runs])
    path = save(tmp_path, table if paired else table.drop(columns="seed"))
    answer = judge([path], Asked(), Rules(), out=tmp_path / "out", fail_if="not-better")
    assert answer.exit_code is ExitCode.NO_ANSWER
    text = " ".join(answer.text.split())
    assert f"cannot reach p <= 0.05; at least {needed} are needed. Observed: accuracy +0.0" in text
    assert f"{runs} {'pairs' if paired else 'runs per side'} cannot" in text


def test_pairs_missing_on_one_side_are_named_and_left_out(tmp_path: Path) -> None:
    table = long().drop(index=[2, 8 + 5])
    judgement = found(save(tmp_path, table))
    assert only(judgement).pairs == 6
    assert only(judgement).unpaired == "5 2" or only(judgement).unpaired == "2 5"
    assert any("left out, without a run on the other side: pairs" in note for note in judgement.notes)


@pytest.mark.parametrize(
    ("arm", "rules", "pairs", "word"),
    [
        ("new", Rules(), 7, "cannot tell"),
        ("base", Rules(), 7, "better"),
        ("new", Rules(diverged_as=0.72), 8, "no difference shown"),
        ("new", Rules(diverged_as=0.9), 8, "better"),
        ("base", Rules(diverged_as=0.1), 8, "better"),
    ],
)
@pytest.mark.parametrize("written", ["nan", "NaN", "inf", "-inf"])
def test_a_run_that_diverged_never_speaks_for_its_arm(
    tmp_path: Path, arm: str, rules: Rules, pairs: int, word: str, written: str
) -> None:
    table = long().astype({"accuracy": object})
    table.loc[(table["arm"] == arm) & (table["seed"] == 3), "accuracy"] = written
    verdict = only(found(save(tmp_path, table), rules=rules))
    assert (verdict.pairs, verdict.verdict) == (pairs, word)
    assert (verdict.candidate_diverged, verdict.baseline_diverged) == ((1, 0) if arm == "new" else (0, 1))


def test_every_run_of_an_arm_diverged(tmp_path: Path) -> None:
    answer = judge([save(tmp_path, long(new=[np.nan] * 8))], Asked(), Rules(), out=tmp_path / "out")
    assert answer.exit_code is ExitCode.NO_ANSWER
    assert "There is nothing to compare: 8 runs of new and 0 of base diverged" in " ".join(answer.text.split())


def test_groups_have_a_verdict_each_and_share_the_risk(tmp_path: Path) -> None:
    tables = [long(dataset="mnist"), long(new=BASE[::-1], dataset="cifar")]
    judgement = found(save(tmp_path, pd.concat(tables)), by="dataset")
    assert [row.group for row in judgement.verdicts] == ["mnist", "cifar"]
    raw = [row.p_value for row in judgement.verdicts]
    assert [row.adjusted_p_value for row in judgement.verdicts] == pytest.approx(holm(raw).tolist())
    assert judgement.verdicts[0].needed == 7
    assert "mnist: new beats base" in verdicts_text(judgement)


def test_groups_without_both_arms_take_no_share_of_the_risk(tmp_path: Path) -> None:
    table = pd.concat(
        [long(BASE[:6], NEW[:6], dataset="g1"), long((), NEW, dataset="g2"), long(BASE, (), dataset="g3")]
    )
    judgement = found(save(tmp_path, table), by="dataset")
    verdict = only(judgement)
    assert (verdict.group, verdict.adjusted_p_value, verdict.verdict) == ("g1", 2 / 2**6, "better")
    assert "left out, as base and another arm are not both there: g2, g3" in judgement.notes
    with pytest.raises(SpecError, match="no group has both base and another arm"):
        found(save(tmp_path, table[table["dataset"] != "g1"]), by="dataset", rules=Rules(baseline="base"))


@pytest.mark.parametrize(
    ("margin", "new", "word"),
    [
        (0.05, NEW, "equivalent"),
        (0.02, NEW, "better"),
        (None, BASE, "no difference shown"),
        (0.001, BASE, "equivalent"),
        (0.0, BASE, "no difference shown"),
    ],
)
def test_margins(tmp_path: Path, margin: float | None, new: Any, word: str) -> None:
    assert only(found(save(tmp_path, long(new=new)), rules=Rules(margin=margin))).verdict == word


def test_without_pairs_a_difference_as_large_as_the_margin_is_not_equivalent(tmp_path: Path) -> None:
    path = save(tmp_path, long([0.812] * 6, [0.813] * 6).drop(columns="seed"))
    assert only(found(path, rules=Rules(margin=0.001))).verdict == "better"
    assert only(found(path, rules=Rules(margin=0.0011))).verdict == "equivalent"


def test_a_look_divides_alpha(tmp_path: Path) -> None:
    path = save(tmp_path, long(BASE[:7], NEW[:7]))
    assert only(found(path)).verdict == "better"
    later = found(path, rules=Rules(look=4))
    assert (only(later).verdict, only(later).needed) == ("cannot tell", 8)
    assert "look 4 at this question: alpha is divided by 4" in later.notes


@pytest.mark.parametrize(
    ("metric", "asked", "word"),
    [
        ("test_loss", {}, "worse"),
        ("error_rate", {}, "worse"),
        ("Perplexity", {}, "worse"),
        ("test/loss", {}, "worse"),
        ("metrics.val-error", {}, "worse"),
        ("train_seconds", {}, "worse"),
        ("val_logloss", {}, "worse"),
        ("glossiness", {}, "better"),
        ("accuracy", {}, "better"),
        ("reward", {}, "better"),
        ("reward", {"lower_is_better": True}, "worse"),
        ("seconds", {"lower_is_better": True}, "worse"),
    ],
)
def test_which_way_is_better(tmp_path: Path, metric: str, asked: dict[str, Any], word: str) -> None:
    judgement = found(save(tmp_path, long().rename(columns={"accuracy": metric})), **asked)
    assert only(judgement).verdict == word
    assert only(judgement).mean_difference > 0
    assert bool(asked) or any("is better" in note for note in judgement.notes)


def test_the_baseline_is_the_first_arm_unless_named(tmp_path: Path) -> None:
    path = save(tmp_path, long())
    assert only(found(path, rules=Rules(baseline="new"))).verdict == "worse"
    assert only(found(path, rules=Rules(baseline="new"))).candidate == "base"


def curves() -> pd.DataFrame:
    rows = [
        (arm, seed, step, value + (0.1 if step == 20 else 0.0) - (0.05 * seed if step == 10 else 0))
        for arm, values in (("base", BASE), ("new", NEW))
        for seed, value in enumerate(values)
        for step in (10, 20, 30)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "step", "accuracy"])


@pytest.mark.parametrize(
    ("at", "first"), [("end", BASE[1]), ("best", BASE[1] + 0.1), (10, BASE[1] - 0.05), (20, BASE[1] + 0.1)]
)
def test_which_row_of_a_run_counts(tmp_path: Path, at: Any, first: float) -> None:
    judgement = found(save(tmp_path, curves()), at=at)
    assert only(judgement).pairs == 8
    values = {(key.arm, key.pair): value for key, value in judgement.results.values.items()}
    assert values["base", "1"] == pytest.approx(first)
    assert any("flatters both arms" in note for note in judgement.notes) == (at == "best")


def test_runs_without_the_step_are_named(tmp_path: Path) -> None:
    table = curves()
    judgement = found(
        save(tmp_path, table[~((table["seed"] == 2) & (table["step"] == 20) & (table["arm"] == "new"))]), at=20
    )
    assert only(judgement).pairs == 7
    assert "left out, without a row at step 20: new 2" in judgement.notes
    with pytest.raises(SpecError, match=r"^at: got 11; no run has a row at step 11; allowed: 10, 20, 30, end, best$"):
        found(save(tmp_path, table), at=11)


def test_no_word_of_an_answer_is_an_option_as_the_command_spells_it(tmp_path: Path) -> None:
    judgement = found(save(tmp_path, long(new=[np.nan, *NEW[1:]])))
    assert "the option diverged_as says what these count as" in verdicts_text(judgement).replace("\n", " ")
    assert "--" not in "\n".join(line for line in verdicts_text(judgement).splitlines() if set(line) != {"-"})


def test_runs_that_end_at_different_steps_are_said(tmp_path: Path) -> None:
    table = curves()
    judgement = found(save(tmp_path, table[(table["seed"] != 2) | (table["step"] < 30)]))
    assert any("runs end at different steps, from 20 to 30" in note for note in judgement.notes)


def test_a_sentence_for_every_word(tmp_path: Path) -> None:
    for new, rules, said in (
        (NEW, Rules(), "new beats base: accuracy +0.0225 (95 % interval"),
        (BASE, Rules(margin=0.01), "new and base are equivalent: accuracy +0 "),
        (BASE, Rules(), "No difference shown between new and base: accuracy +0 "),
        ([0.1] * 8, Rules(), "base beats new: accuracy -0.635 "),
    ):
        judgement = found(save(tmp_path, long(new=new)), rules=rules)
        assert verdict_sentence(only(judgement), judgement).startswith(said)
