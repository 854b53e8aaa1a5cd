"""Sequences of reports on one experiment: what each look costs, and what is said once seeds come and go.

The runs lie on the disk already; what changes is the spec that asks for them.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from command_line import run_clrbench, write_spec
from runs_in_memory import make_spec
from runs_on_disk import write_run
from specs import CONSTANT

from clrbench.analysis.comparison import Evidence, comparison_table, evidence_table, read_rows
from clrbench.analysis.looks import looked_at
from clrbench.analysis.results import Results
from clrbench.answer import Answer, ExitCode
from clrbench.commands.report import Asked, report, report_experiment
from clrbench.spec import to_yaml
from clrbench.store import ResultsFolder
from clrbench.store.index import INDEX_FILE

# Ten seeds that show nothing; without the last three, all seven are better.
TEN = [0.712, 0.713, 0.711, 0.714, 0.715, 0.712, 0.713, 0.66, 0.665, 0.67]
SUITABLE = tuple(range(7))
BETTER = [0.71, 0.72, 0.73, 0.71, 0.72, 0.73, 0.72, 0.71, 0.73, 0.72, 0.73, 0.71]


pytestmark = pytest.mark.usefixtures("undrawn")


class Experiment:
    """A folder with finished runs, and the reports on it."""

    def __init__(self, root: Path) -> None:
        self.folder = ResultsFolder(root)
        self.words: list[str] = []

    def train(self, ends: Iterable[float], seeds: Iterable[int] | None = None, arm: str = "clr", **run: Any) -> None:
        """Write runs of an arm with these ends, beside those of the constant rate, which ends at 0.7."""
        ends = list(ends)
        for seed, end in zip(range(len(ends)) if seeds is None else seeds, ends, strict=True):
            write_run(self.folder, "constant", seed, [0.4, 0.6, 0.7], backend=run.get("backend", "torch"))
            write_run(self.folder, arm, seed, [0.6, 0.4, end], **run)

    def report(self, seeds: Any, fail_if: Any = None, **spec: Any) -> Answer:
        asked = make_spec(seeds=seeds, **spec)
        return report_experiment(self.folder, asked, [], Asked(fail_if, allow_untuned=True))

    @staticmethod
    def part(answer: Answer, name: str) -> Any:
        """Return a part of what an answer tells programs."""
        return answer.data[name]

    def verdicts(self, seeds: Any, **spec: Any) -> list[Evidence]:
        """Look at the verdicts, as a report does, and return what stands behind them; `words` has the words."""
        results = looked_at(Results.read(self.folder, make_spec(seeds=seeds, **spec)), self.folder)
        comparison = results.once(comparison_table)
        self.words = comparison.loc[comparison["metric"] == results.spec.verdict.metric, "verdict"].tolist()
        found = read_rows(Evidence, results.once(evidence_table))
        assert all(row.alpha == pytest.approx(results.spec.verdict.alpha / row.looks) for row in found)
        return found

    def said(self, seeds: Any, **spec: Any) -> tuple[str, int, str]:
        """Return the word, the index of the look, and the seeds left out."""
        (row,) = self.verdicts(seeds, **spec)
        return self.words[0], row.looks, row.left_out_seeds


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path / "results")


def test_ten_seeds_that_show_nothing_are_no_better_as_the_seven_that_suit(experiment: Experiment) -> None:
    experiment.train(TEN)
    assert experiment.said(10) == ("no difference shown", 1, "")
    answer = experiment.report(SUITABLE)
    (row,) = experiment.part(answer, "verdicts")
    # The numbers alone would be "clr beats constant, p = 0.0156".
    assert (row["p_value"], row["wins"], row["verdict"]) == (2 / 2**7, 7, "no difference shown")
    assert row["left_out_seeds"] == "7 8 9"
    said = "torch: no difference shown between clr and constant (untuned). No verdict: seeds 7 to 9 were"
    assert said in " ".join(click.unstyle(answer.shown(100)).split())
    assert set(pd.read_csv(experiment.folder.root / "comparison.csv")["verdict"]) == {"no difference shown"}
    assert experiment.said(10) == ("no difference shown", 1, "")


@pytest.mark.acceptance
def test_a_report_written_twice_has_the_same_bytes(experiment: Experiment) -> None:
    experiment.train(TEN)
    for seeds in (10, SUITABLE, 12):
        first = experiment.report(seeds)
        files = {path: path.read_bytes() for path in experiment.folder.root.glob("[!.]*.*")}
        again = experiment.report(seeds)
        assert (again.data, again.shown(100)) == (first.data, first.shown(100))
        assert {path: path.read_bytes() for path in experiment.folder.root.glob("[!.]*.*")} == files


def test_seeds_added_removed_and_put_back(experiment: Experiment) -> None:
    experiment.train(BETTER)
    assert experiment.said(6) == ("better", 1, "")
    assert experiment.said(8) == ("better", 2, "")
    assert experiment.said(6) == ("no difference shown", 1, "6 7")
    assert experiment.said((0, 1, 2, 3, 4, 5, 7)) == ("no difference shown", 3, "6")
    assert experiment.said(8) == ("better", 2, "")
    assert experiment.said(10) == ("better", 4, "")


@pytest.mark.acceptance
def test_six_seeds_then_six_others_say_nothing_until_all_are_there(experiment: Experiment) -> None:
    experiment.train(BETTER)
    assert experiment.said(6) == ("better", 1, "")
    assert experiment.said((6, 7, 8, 9, 10, 11)) == ("cannot tell", 2, "0 1 2 3 4 5")
    assert experiment.said((5, 6, 7, 8, 9, 10, 11)) == ("no difference shown", 2, "0 1 2 3 4")
    assert experiment.said(12) == ("better", 3, "")


def test_five_seeds_are_free_and_ten_are_the_first_look(experiment: Experiment) -> None:
    experiment.train(BETTER)
    assert [experiment.said(number) for number in (2, 5, 10)] == [
        ("cannot tell", 1, ""),
        ("cannot tell", 1, ""),
        ("better", 1, ""),
    ]


@pytest.mark.acceptance
def test_seeds_of_a_free_look_are_left_out_too(experiment: Experiment) -> None:
    experiment.train(BETTER)
    assert experiment.said(3) == ("cannot tell", 1, "")
    assert experiment.said((2, 3, 4, 5, 6, 7, 8)) == ("no difference shown", 1, "0 1")
    assert experiment.said(9) == ("better", 2, "")


@pytest.mark.acceptance
@pytest.mark.parametrize("verdict", [{"margin": 0.01}, {"alpha": 0.2}, {"metric": "test_loss"}], ids=str)
def test_margin_level_or_metric_changed_and_changed_back(experiment: Experiment, verdict: dict[str, Any]) -> None:
    experiment.train(BETTER)
    words = [experiment.said(12, **spec)[:2] for spec in ({}, {"verdict": verdict}, {}, {"verdict": verdict})]
    assert words == [("better", 1), ("better", 2)] * 2
    assert experiment.said(12, verdict={"margin": 0.02})[1] == 3


def test_half_way_there_is_no_verdict_and_no_charge(experiment: Experiment) -> None:
    experiment.train(BETTER[:8])
    assert [experiment.said(10)[:2], experiment.said(10)[:2]] == [("cannot tell", 1)] * 2
    assert experiment.report(10, "not-better").exit_code is ExitCode.CONDITION_HOLDS
    assert experiment.report(10, "worse").exit_code is experiment.report(10).exit_code is ExitCode.DONE
    experiment.train(BETTER[8:10], (8, 9))
    assert experiment.said(10) == ("better", 1, "")
    assert experiment.report(10, "not-better").exit_code is ExitCode.DONE


def test_half_way_cut_to_what_suits_is_a_second_look(experiment: Experiment) -> None:
    experiment.train(BETTER[:8])
    assert experiment.said(20)[:2] == ("cannot tell", 1)
    assert experiment.said(8) == ("better", 2, "")


def test_seeds_shown_half_way_are_left_out_once_the_spec_drops_them(experiment: Experiment) -> None:
    experiment.train([0.6, 0.61, *BETTER[2:10]])
    assert experiment.said(11)[0] == "cannot tell"
    assert experiment.said(tuple(range(2, 10))) == ("no difference shown", 2, "0 1")


@pytest.mark.acceptance
def test_one_backend_half_way_keeps_the_other_from_deciding(experiment: Experiment) -> None:
    both = {"backends": ("torch", "keras")}
    experiment.train(BETTER[:8])
    experiment.train(BETTER[:7], backend="keras")
    assert [row.looks for row in experiment.verdicts(8, **both)] == [1, 1]
    assert experiment.words == ["cannot tell"] * 2
    experiment.train(BETTER[7:8], (7,), backend="keras")
    assert [row.looks for row in experiment.verdicts(8, **both)] == [1, 1]
    assert experiment.words == ["better"] * 2


@pytest.mark.acceptance
def test_a_backend_dropped_and_back_keeps_its_looks(experiment: Experiment) -> None:
    both = {"backends": ("torch", "keras")}
    for backend in both["backends"]:
        experiment.train(BETTER, backend=backend)
    experiment.verdicts(8, **both)
    assert experiment.said(10) == ("better", 2, "")
    assert [(row.backend, row.looks) for row in experiment.verdicts(10, **both)] == [("torch", 2), ("keras", 2)]
    assert experiment.words == ["better"] * 2
    assert experiment.said(7, backends=("keras",)) == ("no difference shown", 3, "7 8 9")


@pytest.mark.acceptance
def test_an_arm_added_is_another_look_and_without_it_the_first_one_stands(experiment: Experiment) -> None:
    arms = dict.fromkeys(("constant", "clr", "third"), CONSTANT)
    experiment.train(BETTER)
    experiment.train(BETTER, arm="third", identity="3" * 64)
    assert experiment.said(12) == ("better", 1, "")
    assert [(row.looks, row.comparisons) for row in experiment.verdicts(12, arms=arms)] == [(2, 2)] * 2
    assert experiment.said(12) == ("better", 1, "")
    assert [row.left_out_seeds for row in experiment.verdicts(9, arms=arms)] == ["9 10 11"] * 2


@pytest.mark.acceptance
def test_a_changed_arm_is_another_look_and_its_earlier_seeds_stay_shown(experiment: Experiment) -> None:
    experiment.train(BETTER)
    assert experiment.said(12) == ("better", 1, "")
    experiment.train(BETTER, identity="c" * 64)
    assert experiment.said(9) == ("no difference shown", 2, "9 10 11")
    assert experiment.said(12) == ("better", 3, "")


@pytest.mark.acceptance
def test_runs_made_again_are_the_same_look(experiment: Experiment) -> None:
    experiment.train(BETTER)
    assert experiment.said(12) == ("better", 1, "")
    experiment.train(BETTER)
    assert experiment.said(12) == ("better", 1, "")


@pytest.mark.acceptance
def test_pairs_that_are_mixed_since_a_look_are_left_out_and_count_again_once_both_are_made_anew(
    experiment: Experiment,
) -> None:
    experiment.train(BETTER)
    assert experiment.said(12) == ("better", 1, "")
    write_run(experiment.folder, "clr", 3, [0.6, 0.4, 0.71], version="2")
    assert experiment.said(12) == ("no difference shown", 2, "3")
    write_run(experiment.folder, "constant", 3, [0.4, 0.6, 0.7], version="2")
    assert experiment.said(12) == ("better", 1, "")


def test_pairs_that_were_always_mixed_are_not_left_out_by_choice(experiment: Experiment) -> None:
    experiment.train(BETTER)
    write_run(experiment.folder, "clr", 3, [0.6, 0.4, 0.71], version="2")
    assert [experiment.said(12), experiment.said(12)] == [("better", 1, "")] * 2


def test_a_copied_folder_has_looked_too(experiment: Experiment, tmp_path: Path) -> None:
    experiment.train(BETTER)
    experiment.said(12)
    shutil.copytree(experiment.folder.root, tmp_path / "copy")
    assert Experiment(tmp_path / "copy").said(8) == ("no difference shown", 2, "8 9 10 11")


@pytest.mark.acceptance
def test_without_its_index_the_folder_still_names_the_pairs_that_lie_in_it(experiment: Experiment) -> None:
    experiment.train(TEN)
    experiment.said(10)
    (experiment.folder.root / INDEX_FILE).unlink()
    answer = experiment.report(SUITABLE)
    said = "finished runs with seeds 7 to 9 are here but not in the spec"
    assert any(said in warning for warning in experiment.part(answer, "warnings"))
    assert not any("are here but not" in warning for warning in experiment.part(experiment.report(10), "warnings"))


@pytest.mark.acceptance
def test_side_by_side_says_what_each_experiment_said_last(experiment: Experiment, tmp_path: Path) -> None:
    others = Experiment(tmp_path / "others")
    for one, ends, asked in ((experiment, TEN, (10, SUITABLE)), (others, BETTER[:8], (9,))):
        one.train(ends)
        for seeds in asked:
            one.report(seeds)
        one.folder.begin(to_yaml(make_spec(seeds=asked[-1])), [])
    answer = report([experiment.folder.root, others.folder.root])
    rows = [row for side in Experiment.part(answer, "experiments") for row in side["verdicts"]]
    assert [row["verdict"] for row in rows] == ["no difference shown", "cannot tell"]


# The real command line.


@pytest.mark.acceptance
def test_a_real_experiment_half_way_finished_cut_and_whole_again(tmp_path: Path) -> None:
    quick = {"backends": ["torch"], "duration": "1 epochs", "targets": {}}
    quick["arms"] = {"constant": CONSTANT, "slow": {"schedule": {"name": "constant", "lr": 0.001}}}

    def run(*arguments: object, seeds: Any) -> tuple[Any, int]:
        done = run_clrbench(*arguments, write_spec(tmp_path, **quick, seeds=seeds), "--json", folder=tmp_path)
        assert done.returncode in {0, 4}, done.stderr
        return json.loads(done.stdout), done.returncode

    def said(content: Any) -> tuple[str, int, str]:
        (row,) = content["verdicts"]
        return row["verdict"], row["looks"], row["left_out_seeds"]

    # The second half of the runs: with 8 seeds and two arms, those of the last four seeds.
    run("compare", "--shard", "2/2", seeds=8)
    done = run_clrbench("report", "results/quick", "--json", folder=tmp_path)
    assert said(json.loads(done.stdout)) == ("cannot tell", 1, "")
    found, code = run("compare", "--fail-if", "not-better", seeds=8)
    assert (said(found), code) == (("worse", 1, ""), 4)
    found, code = run("compare", "--fail-if", "worse", seeds=7)
    assert (said(found), code) == (("no difference shown", 2, "7"), 0)
    assert said(run("compare", "--redo", seeds=8)[0]) == ("worse", 1, "")
    assert said(run("compare", seeds=9)[0])[1:] == (3, "")
