"""Environment variables for a while, and addresses that answer."""

import os
import socket

import pytest

from clrbench.execution.surroundings import answers, environment


def test_variables_are_as_before_afterwards_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLRBENCH_A", "before")
    monkeypatch.delenv("CLRBENCH_B", raising=False)
    variables = {"CLRBENCH_A": "now", "CLRBENCH_B": "new"}
    with pytest.raises(KeyError), environment(variables):
        os.environ.pop("of this name there is no variable")
    with environment(variables):
        assert (os.environ["CLRBENCH_A"], os.environ["CLRBENCH_B"]) == ("now", "new")
    assert os.environ["CLRBENCH_A"] == "before"
    assert "CLRBENCH_B" not in os.environ


def test_a_place_answers_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = ("127.0.0.1", server.getsockname()[1])
        assert answers(place)
    assert not answers(place)
    assert not answers(("no-such-host.invalid", 1))
