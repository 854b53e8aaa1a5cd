"""Which accelerator each worker process of this machine trains on, and which options of executors go together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from clrbench.errors import SpecError

Devices: TypeAlias = tuple[int, ...] | Literal["all"]
"""Numbers of accelerators, as this process may see them, from 0 on; or all that there are."""

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable by which a process sees some CUDA devices only, under new numbers from 0 on."""

_DEVICES_FORM = "allowed: all, or numbers from 0 on, each once, such as 0,1,2"


@dataclass(frozen=True)
class Present:
    """The accelerators that a framework finds on this machine.

    Attributes:
        kind: cuda or mps; cpu where there is none.
        number: How many of them; 0 where there is none.
    """

    kind: str
    number: int


def parse_devices(text: str) -> Devices:
    """Return what `--devices` asks for.

    Raises:
        SpecError: If it is neither `all` nor a list of different numbers.
    """
    if text == "all":
        return "all"
    parts = text.split(",")
    # Ten digits and more are no device; int() would take hundreds of them.
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise SpecError(f"--devices: got {text!r}; {_DEVICES_FORM}")
    numbers = tuple(map(int, parts))
    if len(set(numbers)) < len(numbers):
        raise SpecError(f"--devices: got {text!r}, which names a device twice; {_DEVICES_FORM}")
    return numbers


def parse_address(text: str, name: str = "--ray-address") -> str:
    """Return what `--ray-address` asks for, or a parameter of another name.

    Raises:
        SpecError: If it is neither `auto` nor a host with a port.
    """
    host, _, port = text.rpartition(":")
    is_host = host.strip("[]") != "" and "/" not in host and len(text.split()) == 1
    if text == "auto" or (is_host and port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        return text
    advice = "; a driver that is no node (ray://) cannot keep results: run clrbench on a node of the cluster" * (
        "://" in text
    )
    raise SpecError(
        f"{name}: got {text!r}; allowed: HOST:PORT of the head node, such as 10.0.0.1:6379, or auto for the "
        f"cluster that this machine is a node of{advice}"
    )


def check_choice(executor: str, address: str | None, devices: Devices | None, device: str, workers: int | None) -> None:
    """Raise SpecError where options that say where runs are made contradict each other."""
    if address is not None and executor != "ray":
        raise SpecError(f"--ray-address names a Ray cluster, but --executor is {executor}; add --executor ray")
    if devices is None:
        return
    if executor != "local":
        raise SpecError(
            f"--devices pins the worker processes of this machine, but --executor is {executor}, which hands devices out "
            "itself; leave --devices out"
        )
    if device == "cpu":
        raise SpecError("--devices names accelerators, but --device is cpu; leave one of them out")
    if devices != "all" and workers is not None and workers > len(devices):
        raise SpecError(
            f"--workers: got {workers}, but --devices names {len(devices)}, and a device makes one run at a time; leave "
            "--workers out"
        )


def pinned(
    devices: Devices, present: Present, workers: int, environment: Mapping[str, str]
) -> tuple[Mapping[str, str], ...]:
    """Return the environment variables of each worker, so that each has a device to itself.

    Args:
        devices: The devices asked for, by the numbers that this process sees them under.
        present: Those that there are.
        workers: Runs made at a time, at most (>= 1).
        environment: That of this process, which may see some of the machine's devices only.

    Raises:
        SpecError: If there is no such device.
    """
    if present.number == 0:
        raise SpecError(
            f"--devices: got {_words(devices)}, but no accelerator is found here; leave --devices out to train on the "
            "processor"
        )
    there = range(present.number)
    chosen = tuple(there) if devices == "all" else devices
    if unknown := [number for number in chosen if number not in there]:
        numbers = ", ".join(map(str, there))
        raise SpecError(
            f"--devices: got {_words(devices)}, and there is no device {unknown[0]}; allowed: all, or any of {numbers} "
            f"({present.kind})"
        )
    if present.kind != "cuda":
        # There is but one, which needs no pin.
        return ({},) * min(workers, len(chosen))
    names = [name.strip() for name in environment.get(VISIBLE_VARIABLE, "").split(",") if name.strip()]
    names = names or [str(number) for number in there]
    return tuple({VISIBLE_VARIABLE: names[number]} for number in chosen[:workers])


def _words(devices: Devices) -> str:
    return devices if devices == "all" else ",".join(map(str, devices))
