"""Executors: opened by name, closed whatever happens, with as many workers as make sense."""

from dataclasses import dataclass, field

import pytest

from clrbench.execution import executor as room
from clrbench.execution.executor import EXECUTORS, Resources, num_workers, open_executor


@dataclass
class Recorder:
    """An executor that notes what happens to it."""

    resources: Resources
    closed: list[bool] = field(default_factory=list)

    def close(self) -> None:
        self.closed.append(True)


RESOURCES = Resources("torch", 2, 1)


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXECUTORS, "recorder", f"{__name__}:Recorder")
    monkeypatch.setattr(room, "import_module", {__name__: type("module", (), {"Recorder": Recorder})}.__getitem__)


@pytest.mark.usefixtures("_registered")
def test_an_entry_in_the_registry_makes_an_executor() -> None:
    with open_executor("recorder", RESOURCES) as opened:
        assert opened.resources == RESOURCES
        assert opened.closed == []
    assert opened.closed == [True]


@pytest.mark.usefixtures("_registered")
def test_an_executor_is_closed_after_an_error() -> None:
    with pytest.raises(KeyboardInterrupt), open_executor("recorder", RESOURCES) as opened:
        raise KeyboardInterrupt
    assert opened.closed == [True]


@pytest.mark.parametrize(
    ("wanted", "threads", "num_runs", "expected"),
    [(3, 1, 10, 3), (3, 1, 2, 2), (None, 10**6, 10, 1), (None, 1, 1, 1)],
)
def test_workers_are_no_more_than_wanted_nor_than_there_are_runs(
    wanted: int | None, threads: int, num_runs: int, expected: int
) -> None:
    assert num_workers(wanted, threads, num_runs) == expected


def test_by_default_the_workers_fill_the_processors() -> None:
    alone = num_workers(None, 1, 10**6)
    assert alone >= 1
    assert num_workers(None, 2, 10**6) == max(1, alone // 2)
