"""`clrbench judge`: results that other trainers wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from clrbench import cli
from clrbench.analysis.own_results import Asked
from clrbench.analysis.own_verdicts import OwnJudgement, OwnVerdict, Rules
from clrbench.answer import ExitCode
from clrbench.commands.judge import judge, judged
from clrbench.errors import SpecError
from clrbench.report.own_verdicts import verdict_sentence, verdicts_data, verdicts_text
from clrbench.stats import compare_paired, holm
from clrbench.store.own_table import read_own_table

BASE = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76, 0.70, 0.77]
GAIN = [0.03, 0.01, 0.02, 0.04, 0.02, 0.03, 0.01, 0.02]
NEW = [round(base + gain, 4) for base, gain in zip(BASE, GAIN, strict=True)]
RULES = Rules()


def long(base: Any = BASE, new: Any = NEW, **columns: Any) -> pd.DataFrame:
    rows = [("base", seed, value) for seed, value in enumerate(base)] + [
        ("new", seed, value) for seed, value in enumerate(new)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "accuracy"]).assign(**columns)


def save(folder: Path, table: pd.DataFrame | str | bytes, name: str = "results.csv", **options: Any) -> Path:
    path = folder / name
    if isinstance(table, pd.DataFrame):
        table.to_csv(path, index=False, na_rep="nan", **options)
    else:
        path.write_bytes(table.encode() if isinstance(table, str) else table)
    return path


def found(*paths: Path, rules: Rules = RULES, **asked: Any) -> OwnJudgement:
    return judged([read_own_table(path) for path in paths], Asked(**asked), rules)


def only(judgement: OwnJudgement) -> OwnVerdict:
    (verdict,) = judgement.verdicts
    return verdict


FORMS: dict[str, Any] = {
    "csv": lambda folder: save(folder, long()),
    "tsv": lambda folder: save(folder, long(), "results.tsv", sep="\t"),
    "semicolons": lambda folder: save(folder, long(), sep=";"),
    "json lines": lambda folder: save(folder, long().to_json(orient="records", lines=True), "results.jsonl"),
    "json": lambda folder: save(folder, long().to_json(orient="records"), "results.json"),
    "json of columns": lambda folder: save(folder, json.dumps(long().to_dict("list")), "results.json"),
    "with an index": lambda folder: save(folder, long().to_csv()),
    "carriage returns": lambda folder: save(folder, long(), lineterminator="\r\n"),
    "byte order mark": lambda folder: save(folder, b"\xef\xbb\xbf" + long().to_csv(index=False).encode()),
    "quoted": lambda folder: save(folder, long().to_csv(index=False, quoting=1)),
    "spaces": lambda folder: save(folder, long().to_csv(index=False).replace(",", ", ")),
    "capitals": lambda folder: save(folder, long().rename(columns=str.title)),
    "other names": lambda folder: save(folder, long().set_axis(["Method", "fold", "test_acc"], axis=1)),
    "a metric of its own": lambda folder: save(folder, long().set_axis(["model", "run", "dice"], axis=1)),
    "beside other columns": lambda folder: save(folder, long(note="ok", host="a", hours=3.5)),
    "no line break at the end": lambda folder: save(folder, long().to_csv(index=False).rstrip()),
    "blank lines at the end": lambda folder: save(folder, long().to_csv(index=False) + "\n\n"),
    "shuffled within arms": lambda folder: save(
        folder, pd.concat([long().iloc[[0]], long().iloc[1:].sample(frac=1, random_state=1)])
    ),
    "seeds as floats": lambda folder: save(folder, long(seed=[*np.arange(8.0), *np.arange(8.0)])),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_results_has_the_same_verdict(tmp_path: Path, form: str) -> None:
    verdict = only(found(FORMS[form](tmp_path)))
    expected = compare_paired(NEW, BASE)
    assert (verdict.candidate, verdict.baseline, verdict.verdict, verdict.pairs) == ("new", "base", "better", 8)
    assert (verdict.mean_difference, verdict.ci_low, verdict.ci_high, verdict.p_value) == pytest.approx(
        (expected.mean_difference, expected.ci_low, expected.ci_high, expected.p_value)
    )
    assert (verdict.wins, verdict.ties, verdict.losses) == (8, 0, 0)


def test_a_column_an_arm(tmp_path: Path) -> None:
    table = pd.DataFrame({"seed": range(8), "base": BASE, "new": NEW, "other": BASE[::-1]})
    judgement = found(save(tmp_path, table), arms=("base", "new", "other"))
    assert [row.candidate for row in judgement.verdicts] == ["new", "other"]
    assert judgement.verdicts[0].mean_difference == pytest.approx(np.mean(GAIN))
    raw = [compare_paired(arm, BASE).p_value for arm in (NEW, BASE[::-1])]
    assert [row.adjusted_p_value for row in judgement.verdicts] == pytest.approx(holm(raw).tolist())


def test_several_files_are_one_table_or_an_arm_each(tmp_path: Path) -> None:
    table = long()
    parts = [save(tmp_path, table.iloc[::2], "a.csv"), save(tmp_path, table.iloc[1::2], "b.csv")]
    assert only(found(*parts)).pairs == 8
    arms = [save(tmp_path, rows.drop(columns="arm"), f"{arm}.csv") for arm, rows in table.groupby("arm")]
    judgement = found(*arms)
    assert only(judgement).verdict == "better"
    assert "arms: base, new, a file each" in judgement.notes


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
    assert "of more than 50000 splits so many are drawn, by a fixed seed" in judgement.notes


@pytest.mark.parametrize(("paired", "runs", "needed"), [(True, 5, 6), (False, 3, 4)])
def test_too_few_say_how_many_would_do_and_what_they_show(tmp_path: Path, paired: bool, runs: int, needed: int) -> None:
    table = long(BASE[:runs], NEW[:runs])
    path = save(tmp_path, table if paired else table.drop(columns="seed"))
    answer = judge([path], Asked(), Rules(), out=tmp_path / "out", fail_if="not-better")
    assert answer.exit_code is ExitCode.NO_ANSWER
    text = " ".join(answer.text.split())
    assert f"cannot reach 0.05, {needed} can. They show: accuracy +0.0" in text
    assert f"{runs} {'pairs' if paired else 'runs a side'} cannot" in text


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
    assert "mnist: new is better than base" in verdicts_text(judgement)


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
    with pytest.raises(SpecError, match="no run has a row at step 11"):
        found(save(tmp_path, table), at=11)


def test_runs_that_end_at_different_steps_are_said(tmp_path: Path) -> None:
    table = curves()
    judgement = found(save(tmp_path, table[(table["seed"] != 2) | (table["step"] < 30)]))
    assert any("runs end at different steps, from 20 to 30" in note for note in judgement.notes)


REFUSED: list[tuple[str | bytes, dict[str, Any], str]] = [
    ("", {}, "got no header"),
    ("arm,seed,accuracy\n", {}, "got no rows below the header"),
    ("arm,seed,accuracy\na,1,.9\nb,1\n", {}, r":3: got 2 fields \(b,1\); allowed: 3, as the header has"),
    ("arm,seed,accuracy\na,1,.9,7\n", {}, ":2: got 4 fields"),
    ("arm,seed,accuracy\na,1,.9\n\nb,1,.9\n", {}, r":3: got 0 fields \(a blank line\)"),
    ("arm,seed,accuracy\na,1,.9\nb,1,\n", {}, ":3: accuracy is empty; write nan"),
    ("arm,seed,accuracy\na,1,.9\nb,1,NA\n", {}, ":3: accuracy got 'NA', a missing value"),
    ("arm,seed,accuracy\na,1,.9\nb,1,null\n", {}, ":3: accuracy got 'null'"),
    ("arm,seed,accuracy\na,1,.9\n,1,.9\nb,1,.9\n", {}, ":3: arm is empty"),
    ("arm,seed,accuracy\na,1,.9\nb,,.9\n", {}, ":3: seed is empty"),
    ("arm,seed,accuracy\na,1,.9\nb,1,high\n", {}, ":3: accuracy: got 'high'; allowed: a number, or nan"),
    ("arm,seed,accuracy\na,1,.9\nb,1,93.1%\n", {}, "write 0.931 for 93.1 %"),
    ("arm;seed;accuracy\na;1;0,9\nb;1;0,8\n", {}, ":2: accuracy: got '0,9'.*write 0.5, not 0,5"),
    ("arm,seed,accuracy\na,1,1_0\nb,1,.9\n", {}, ":2: accuracy: got '1_0'"),
    (b"arm,seed,accuracy\na,1,.9\nb,1,.\x009\n", {}, ":3: got a NUL byte"),
    (b"arm,seed,accuracy\na,1,.9\n\xff,1,.9\n", {}, ":3: got a byte that is not UTF-8"),
    ("arm,seed,accuracy\na\x07,1,.9\nb,1,.9\n", {}, r":2: arm: got 'a\\x07'"),
    ('arm,seed,accuracy\na,1,"0.9\nb,1,.9\n', {}, "cannot be read as CSV"),
    ('arm,seed,accuracy\na,1,"0.9"x\nb,1,.9\n', {}, ":2: cannot be read as CSV"),
    ("arm,arm,accuracy\na,1,.9\n", {}, ":1: got the column arm twice"),
    ("arm,,accuracy\na,1,.9\n", {}, ":1: got no name for column 2"),
    ("arm,seed,accuracy\na,1,.9\nb,1,.9\na,1,.8\n", {}, ":4: arm a, pair 1 stands here and on .*:2; allowed: once"),
    ("arm,seed,accuracy\na,1,.9\na,1.0,.9\nb,1,.8\n", {}, "pair 1 stands here"),
    ("arm,seed,step,accuracy\na,1,5,.9\na,1,5,.9\nb,1,5,.8\n", {}, ":3: arm a, pair 1 stands here"),
    ("arm,seed,accuracy\na,1,.9\na,2,.9\n", {}, "no column looks like the arms|there is one arm only"),
    (
        "arm,seed,accuracy\na,1,.9\nb,1,.9\n",
        {"pair": "sede"},
        r"no column 'sede' \(--pair\); it has arm, seed, accuracy; did you mean 'seed'",
    ),
    ("arm,seed,accuracy\na,1,.9\nb,1,.9\n", {"metric": "acc"}, r"no column 'acc' \(--metric\)"),
    ("arm,seed,accuracy\na,1,.9\nb,1,.9\n", {"arms": ("a", "b")}, r"no column 'a' \(--arms\)"),
    ("seed,a,b\n1,.9,.9\n", {"arms": ("a",)}, "allowed: at least two columns"),
    (
        "seed,a,b\n1,.9,.9\n",
        {},
        "no column looks like the arms; it has seed, a, b; name it with --arm COLUMN, or --arms",
    ),
    (
        "method,model,seed,accuracy\na,x,1,.9\nb,y,1,.9\n",
        {},
        "method and model may each be the arm; name the one with --arm",
    ),
    ("arm,seed,fold,accuracy\na,1,1,.9\nb,1,1,.9\n", {}, "seed and fold may each be the pair"),
    ("arm,seed,accuracy,f1\na,1,.9,.9\nb,1,.9,.9\n", {}, "accuracy, f1 may each be the metric; name it with --metric"),
    ("arm,seed,dice,iou\na,1,.9,.9\nb,1,.9,.9\n", {}, "dice, iou may each be the metric"),
    ("arm,seed,note\na,1,good\nb,1,bad\n", {}, "no column looks like the metric"),
    (
        '{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", "seed": 1}\n',
        {},
        ":2: has no accuracy, as the first row has",
    ),
    (
        '{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", "seed": 1, "accuracy": null}\n',
        {},
        ":2: accuracy is empty",
    ),
    (
        '{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", "seed": 1, "accuracy": [1]}\n',
        {},
        ":2: accuracy: got a list or an object",
    ),
    (
        '{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", "seed": 1, "acc": 1, "accuracy": 1}\n',
        {},
        ":2: got the field acc",
    ),
    ('{"arm": "a", "seed": 1, "accuracy": 0.9}\n{"arm": "b", \n', {}, ":2: cannot be read as JSON"),
    ('{"arm": "a", "arm": "b", "accuracy": 0.9}\n', {}, ":1: cannot be read as JSON .a key stands twice"),
    ("[1, 2]", {}, ":1: got 1; allowed: an object"),
    ("[]", {}, "got no rows"),
]


@pytest.mark.parametrize(("content", "asked", "said"), REFUSED)
def test_what_is_damaged_or_in_doubt_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        found(save(tmp_path, content), **asked)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(baseline="bsae"), r"--baseline: got 'bsae'; allowed: base, new; did you mean 'base'\?"),
        (Rules(alpha=float("nan")), "alpha: got nan"),
        (Rules(margin=float("nan")), "margin: got nan"),
        (Rules(diverged_as=float("inf")), "diverged-as: got inf"),
    ],
)
def test_rules_out_of_range_are_refused(tmp_path: Path, rules: Rules, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        found(save(tmp_path, long()), rules=rules)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no such file"):
        found(tmp_path / "none.csv")


def test_tables_plot_and_page_are_written(tmp_path: Path) -> None:
    table = pd.concat([long(dataset="<b>one</b> $x$"), long(dataset="two", new=[np.nan, *NEW[1:]])])
    out = tmp_path / "out"
    answer = judge([save(tmp_path, table)], Asked(by="dataset"), Rules(margin=0.001), out=out)
    assert answer.exit_code is ExitCode.DONE
    comparison = pd.read_csv(out / "comparison.csv")
    columns = ["group", "metric", "candidate", "baseline", "pairs", "mean_difference", "ci_low", "ci_high", "p_value"]
    assert list(comparison)[:13] == [*columns, "wins", "ties", "losses", "verdict"]
    summary = pd.read_csv(out / "summary.csv")
    assert summary["accuracy_mean"].tolist() == pytest.approx(
        [np.mean(BASE), np.mean(NEW), np.mean(BASE), np.mean(NEW[1:])]
    )
    differences = pd.read_csv(out / "differences.csv")
    assert list(differences) == ["group", "metric", "candidate", "baseline", "pair", "difference"]
    assert len(differences) == 15
    assert (out / "plots/differences.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;one&lt;/b&gt; $x$: new is better than base" in page
    assert "<b>one" not in page
    assert max(map(len, answer.text.splitlines()[:-1])) <= 100


@pytest.mark.parametrize(
    ("new", "fail_if", "code"),
    [
        (NEW, None, 0),
        (NEW, "worse", 0),
        (NEW, "not-better", 0),
        (BASE, "not-better", 4),
        (BASE, "worse", 0),
        ([0.1] * 8, "worse", 4),
        ([0.1] * 8, "not-better", 4),
    ],
)
def test_exit_codes_for_programs(tmp_path: Path, new: Any, fail_if: Any, code: int) -> None:
    path = save(tmp_path, long(new=new))
    answer = judge([path], Asked(), Rules(), out=tmp_path / "out", fail_if=fail_if)
    assert answer.exit_code == code


def test_the_command_line(tmp_path: Path) -> None:
    path = save(tmp_path, long().rename(columns={"accuracy": "wer"}))
    options = ["--arm", "arm", "--pair", "seed", "--metric", "wer", "--lower-is-better", "--alpha", "0.1", "--json"]
    done = CliRunner().invoke(cli.main, ["judge", str(path), *options, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert (data["verdicts"][0]["verdict"], data["alpha"], data["higher_is_better"]) == ("worse", 0.1, False)
    wrong = CliRunner().invoke(cli.main, ["judge", str(path), "--at", "last"])
    assert wrong.exit_code == 2
    assert "allowed: end, best or the number of a step" in wrong.output
    damaged = CliRunner().invoke(cli.main, ["judge", str(save(tmp_path, "arm,seed,accuracy\na,1\n", "damaged.csv"))])
    assert damaged.exit_code == 2
    assert damaged.stderr.count("\n") == 1


def test_infinite_and_missing_numbers_are_null_in_json(tmp_path: Path) -> None:
    data = verdicts_data(found(save(tmp_path, long(BASE[:2], NEW[:2]))))
    text = json.dumps(data, allow_nan=False)
    assert '"ci_low": null' in text


def test_a_sentence_for_every_word(tmp_path: Path) -> None:
    for new, rules, said in (
        (NEW, Rules(), "new is better than base: accuracy +0.0225 (95 % interval"),
        (BASE, Rules(margin=0.01), "new and base are equivalent: accuracy +0 "),
        (BASE, Rules(), "new and base: no difference shown: accuracy +0 "),
        ([0.1] * 8, Rules(), "new is worse than base: accuracy -0.635 "),
    ):
        judgement = found(save(tmp_path, long(new=new)), rules=rules)
        assert verdict_sentence(only(judgement), judgement).startswith(said)


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "judge.schema.json").read_text(encoding="utf-8"))
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def unmet(value: Any, schema: dict[str, Any], place: str = "$") -> list[str]:
    """Return where a value breaks a schema; keywords that are not used in it are not known here."""
    assert set(schema) <= {
        *("$schema", "title", "description", "type", "required", "properties", "items", "enum", "const", "anyOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems"),
    }
    if "anyOf" in schema:
        return [] if any(not unmet(value, option) for option in schema["anyOf"]) else [place]
    kind = TYPES.get(schema.get("type", ""), object)
    broken = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool and kind is not object)
    if broken:
        return [place]
    broken |= "enum" in schema and value not in schema["enum"]
    broken |= "const" in schema and value != schema["const"]
    limits = {"minimum": lambda v, m: v >= m, "maximum": lambda v, m: v <= m}
    limits |= {"exclusiveMinimum": lambda v, m: v > m, "exclusiveMaximum": lambda v, m: v < m}
    broken |= any(not holds(value, schema[word]) for word, holds in limits.items() if word in schema)
    broken |= len(value) < schema["minItems"] if "minItems" in schema else False
    found = [place] if broken else []
    if isinstance(value, dict):
        found += [f"{place}.{name}" for name in schema.get("required", ()) if name not in value]
        parts = schema.get("properties", {})
        found += [bad for name in value if name in parts for bad in unmet(value[name], parts[name], f"{place}.{name}")]
    if isinstance(value, list):
        found += [
            bad for index, item in enumerate(value) for bad in unmet(item, schema.get("items", {}), f"{place}[{index}]")
        ]
    return found


def test_json_is_what_its_schema_says(tmp_path: Path) -> None:
    tables = [long(), long(BASE[:2], NEW[:2]), long(new=[np.nan] * 8), long().drop(columns="seed")]
    for table in tables:
        answer = judge([save(tmp_path, table)], Asked(), Rules(), out=tmp_path / "out")
        data = json.loads(json.dumps(answer.data, allow_nan=False))
        assert unmet(data, SCHEMA) == []
        assert set(data) == set(SCHEMA["properties"])
        assert set(data["verdicts"][0]) == set(SCHEMA["properties"]["verdicts"]["items"]["properties"])


def test_the_schema_can_be_broken(tmp_path: Path) -> None:
    data = json.loads(json.dumps(judge([save(tmp_path, long())], Asked(), Rules(), out=tmp_path / "out").data))
    for path, value in ((("paired",), 1), (("schema",), 2), (("verdicts",), []), (("verdicts", 0, "verdict"), "good")):
        broken = json.loads(json.dumps(data))
        *parents, last = path
        part = broken
        for key in parents:
            part = part[key]
        part[last] = value
        assert unmet(broken, SCHEMA) != []
