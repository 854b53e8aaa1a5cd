"""Which device each worker has, and which options go together: pure functions, so no device is needed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrbench.errors import SpecError
from clrbench.execution.placement import (
    VISIBLE_VARIABLE,
    Present,
    check_choice,
    parse_address,
    parse_devices,
    pinned,
)

FOUR = Present("cuda", 4)


def pins(devices: Any, present: Present = FOUR, workers: int = 100, visible: str | None = None) -> list[str | None]:
    """Return what each worker sees."""
    environment = {} if visible is None else {VISIBLE_VARIABLE: visible}
    return [pin.get(VISIBLE_VARIABLE) for pin in pinned(devices, present, workers, environment)]


@pytest.mark.parametrize(
    ("devices", "workers", "visible", "expected"),
    [
        ("all", 100, None, ["0", "1", "2", "3"]),
        ("all", 2, None, ["0", "1"]),
        ((3, 1), 100, None, ["3", "1"]),
        ((2,), 100, None, ["2"]),
        ((0, 1, 2), 1, None, ["0"]),
        # What a scheduler has left visible has new numbers from 0 on.
        ("all", 100, "4,5,6,7", ["4", "5", "6", "7"]),
        ((0, 3), 100, "7, 6, 5, 4", ["7", "4"]),
        ((1,), 100, "GPU-8f2,GPU-77a,MIG-1,MIG-2", ["GPU-77a"]),
        ("all", 100, "", ["0", "1", "2", "3"]),
    ],
)
def test_each_worker_has_a_device_to_itself(
    devices: Any, workers: int, visible: str | None, expected: list[str]
) -> None:
    assert pins(devices, workers=workers, visible=visible) == expected


@given(st.integers(1, 16), st.data(), st.integers(1, 20))
def test_no_device_has_two_workers(number: int, data: st.DataObject, workers: int) -> None:
    devices = tuple(data.draw(st.lists(st.integers(0, number - 1), min_size=1, unique=True)))
    found = pins(devices, Present("cuda", number), workers)
    assert found == [str(device) for device in devices][:workers]


def test_the_one_device_of_a_mac_needs_no_pin() -> None:
    assert pins("all", Present("mps", 1)) == [None]
    assert pins((0,), Present("mps", 1)) == [None]


@pytest.mark.parametrize(
    ("devices", "present", "said"),
    [
        ((4,), FOUR, "--devices: got 4, and there is no device 4; allowed: all, or any of 0, 1, 2, 3 (cuda)"),
        ((0, 7), FOUR, "--devices: got 0,7, and there is no device 7; allowed"),
        ((1,), Present("mps", 1), "there is no device 1; allowed: all, or any of 0 (mps)"),
        ("all", Present("cpu", 0), "--devices: got all, but no accelerator is found here; leave --devices out"),
        ((0,), Present("cpu", 0), "--devices: got 0, but no accelerator is found here"),
    ],
)
def test_a_device_that_is_not_there_is_an_error(devices: Any, present: Present, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        pins(devices, present)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [("all", "all"), ("0", (0,)), ("0,1,2", (0, 1, 2)), ("10,3", (10, 3))])
def test_devices_are_all_or_a_list(text: str, expected: Any) -> None:
    assert parse_devices(text) == expected


@pytest.mark.parametrize(
    "text", ["", "gpu", "cuda:0", "-1", "0,", ",0", "0, 1", "0;1", "1.0", "All", "0-3", "\u0661", "9" * 400, "0,0"]
)
def test_devices_of_another_form_are_an_error(text: str) -> None:
    with pytest.raises(SpecError, match=r"--devices: got .* allowed: all, or numbers from 0 on"):
        parse_devices(text)


@pytest.mark.parametrize(
    "text", ["auto", "10.0.0.1:6379", "head:1", "head.local:65535", "[::1]:6379", "localhost:6379"]
)
def test_an_address_is_a_host_with_a_port(text: str) -> None:
    assert parse_address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "local",
        "10.0.0.1",
        ":6379",
        "head:",
        "head:0",
        "head:65536",
        "head:6379000",
        "head:ray",
        "a b:1",
        "http://head:8265",
    ],
)
def test_an_address_of_another_form_is_an_error(text: str) -> None:
    with pytest.raises(SpecError, match=r"--ray-address: got .* allowed: HOST:PORT of the head node"):
        parse_address(text)


def test_the_client_of_ray_is_refused_with_the_reason() -> None:
    with pytest.raises(
        SpecError, match=r"a driver that is no node \(ray://\) cannot keep results: run clrbench on a node"
    ):
        parse_address("ray://head:10001")


def check(**options: Any) -> None:
    asked = {"executor": "local", "address": None, "devices": None, "device": "auto", "workers": None, **options}
    check_choice(**asked)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"devices": "all"},
        {"devices": (0, 1), "workers": 2},
        {"devices": (0, 1), "device": "cuda", "workers": 1},
        {"devices": "all", "device": "mps", "workers": 9},
        {"executor": "ray"},
        {"executor": "ray", "address": "auto", "device": "cuda", "workers": 100},
    ],
)
def test_options_that_go_together_pass(options: dict[str, Any]) -> None:
    check(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"address": "auto"}, "but --executor is local; add --executor ray"),
        ({"executor": "ray", "devices": "all"}, "which hands devices out itself; leave --devices out"),
        ({"devices": (0,), "device": "cpu"}, "--devices names accelerators, but --device is cpu"),
        ({"devices": (0, 1), "workers": 3}, "--workers: got 3, but --devices names 2, and a device makes one run"),
    ],
)
def test_options_that_contradict_each_other_are_an_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        check(**options)
    assert said in str(caught.value)
