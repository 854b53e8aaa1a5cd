"""What README claims, held against the committed results and the command line."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from clrbench.analysis.collapse import COLLAPSE_COLUMNS
from clrbench.analysis.comparison import EVIDENCE_COLUMNS
from clrbench.analysis.tables import TABLES, Findings
from clrbench.cli import main
from clrbench.data import FETCHED_FILES
from clrbench.planning.plan import PROTOCOL
from clrbench.report.side_by_side import read_side, sides_text
from clrbench.report.text import findings_text
from clrbench.spec import load_spec
from clrbench.store import ResultsFolder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = {path.stem: load_spec(path).spec for path in sorted((ROOT / "experiments").glob("*.yaml"))}
TEXTS = {"far_seeds": "str"}
"""Columns of evidence.csv that may be empty, or look like numbers, and are neither."""
WITH_DATA_AT_HAND = [name for name, spec in EXPERIMENTS.items() if spec.data.dataset not in FETCHED_FILES]


def committed_verdict(name: str) -> str:
    folder = ROOT / "results" / name
    paths = {table.name: folder / f"{table.name}.csv" for table in TABLES}
    tables = {name: pd.read_csv(path, dtype=TEXTS) for name, path in paths.items() if path.is_file()}
    # The results were made before these columns and this table were; they are made anew with the next protocol.
    evidence = tables["evidence"].reindex(columns=EVIDENCE_COLUMNS)
    tables["evidence"] = evidence.astype(dict.fromkeys(TEXTS, "object")).fillna(dict.fromkeys(TEXTS, ""))
    tables.setdefault("collapse", pd.DataFrame(columns=list(COLLAPSE_COLUMNS)))
    return findings_text(Findings(load_spec(folder / "spec.yaml").spec, tables))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


VERDICTS = re.findall(r"<!-- verdict of results/([\w-]+) -->\n```text\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize(("name", "block"), VERDICTS, ids=[name for name, _ in VERDICTS])
def test_the_verdicts_in_readme_are_those_of_the_committed_tables(name: str, block: str) -> None:
    lines = block.strip().splitlines()
    assert lines[0] == committed_verdict(name).splitlines()[0]
    assert set(lines) <= set(committed_verdict(name).splitlines())


def test_readme_quotes_the_verdicts_of_several_experiments() -> None:
    assert {"mnist-fair", "street-digits-cnn", "street-digits-bounds"} <= {name for name, _ in VERDICTS}


def test_the_effects_in_readme_are_those_of_the_committed_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = re.findall(r"<!-- side by side -->\n```text\n(.*?)```", README, flags=re.DOTALL)
    names = ("policies", "policies-street-digits", "optimizers", "optimizers-street-digits")
    assert block.strip() == sides_text([read_side(Path("results") / name) for name in names]).strip()


def test_readme_counts_the_tuned_optimizers_right() -> None:
    tables = [
        pd.read_csv(ROOT / "results" / name / "comparison.csv") for name in ("optimizers", "optimizers-street-digits")
    ]
    primary = pd.concat(table[table["metric"] == "test_accuracy"] for table in tables)
    given = primary["baseline"].str.contains("@")
    assert set(primary.loc[given, "verdict"]) == {"better"}
    assert primary.loc[~given, "verdict"].value_counts().to_dict() == {
        "better": 6,
        "no difference shown": 3,
        "worse": 1,
    }
    assert "it wins six times, loses once (AdaGrad on MNIST), and three times no difference is shown" in README


def test_the_articles_numbers_in_readme_are_those_of_the_committed_tables() -> None:
    lines = blocks("text")[1].strip().splitlines()
    assert len(lines) == 4
    assert set(lines) <= set(committed_verdict("mnist-article").splitlines())


def test_every_picture_in_readme_is_there() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert len(pictures) >= 3
    for path in pictures:
        assert (ROOT / path).is_file(), path


def test_every_link_in_readme_leads_somewhere() -> None:
    for target in re.findall(r"(?<!!)\[[^]]+\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_specs_in_readme_are_good(tmp_path: Path) -> None:
    whole, changes = (yaml.safe_load(block) for block in blocks("yaml"))
    path = tmp_path / "spec.yaml"
    for content, arms in ((whole, 2), ({**whole, **changes}, 4)):
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        spec = load_spec(path).spec
        assert len(spec.arms) == arms
    assert spec.arms["constant"].tune is not None


def test_every_command_is_in_readme_and_has_help() -> None:
    listed = set(re.findall(r"^\| `clrbench ([a-z-]+)", README, flags=re.MULTILINE))
    assert listed == set(main.commands)
    assert all(command.help for command in main.commands.values())


def test_the_svhn_experiments_are_as_published() -> None:
    test, training = EXPERIMENTS["svhn-range-test"], EXPERIMENTS["svhn-cnn"]
    for spec in (test, training):
        assert (spec.data.dataset, spec.model.name, spec.optimizer.name) == ("svhn", "cnn", "sgd")
        rise = spec.range_test
        assert (rise.start_lr, rise.end_lr, rise.ramp, str(rise.duration)) == (0.001, 0.5, "linear", "150 epochs")
    assert str(training.duration) == "80 epochs"
    assert {arm.schedule.name: arm.schedule.needs_range_test for arm in training.arms.values()} == {
        "constant": True,
        "triangular": True,
    }


@pytest.mark.parametrize("name", WITH_DATA_AT_HAND)
def test_every_experiment_has_its_results_committed(name: str) -> None:
    spec = EXPERIMENTS[name]
    folder = ROOT / "results" / name
    if spec.arms:
        committed = load_spec(folder / "spec.yaml").spec
        expected = spec.model_copy(update={"baseline": spec.baseline or next(iter(spec.arms))})
        if ResultsFolder(folder).index().protocol != PROTOCOL:
            # The seeds of range tests were others before protocol 3.
            expected = expected.model_copy(update={"range_test": committed.range_test})
        assert committed == expected
        summary = pd.read_csv(folder / "summary.csv")
        assert len(summary) == len(spec.backends) * len(spec.arms)
        assert (summary["runs"] == len(spec.seeds)).all()
    else:
        assert (folder / "range-test" / "bounds.json").is_file()
