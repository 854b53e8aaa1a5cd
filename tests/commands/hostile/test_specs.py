"""Broken and hostile specs end in one clear message, at once, and leave nothing behind."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import bad_data as bad
import pytest
from hostile_input import (
    GOOD,
    refusal,
    with_arm,
    with_line,
)

NAMES = "a name of at most 100 letters"
LENGTH = "a length with a unit"
LIMITS = "more than 20000 entries or 50 levels"
NOT_UTF8 = "cannot be read (not UTF-8 text)"
LISTS = "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(9))
SHORT_BYTES = 60_000
"""Specs up to this length are read in no time."""
SPECS: dict[str, tuple[str | bytes, str]] = {
    "empty": (b"", "got no mapping of keys"),
    "zero bytes": (bytes(1000), "U+0000 is not allowed"),
    "zero byte at the end": (f"{GOOD}\0", "s.yaml:19: not valid YAML (the character U+0000"),
    "ten megabytes": (b"#" * 10_000_000, "got more than 1000000 bytes"),
    "UTF-16": (GOOD.encode("utf-16"), NOT_UTF8),
    "Latin-1": ("name: é".encode("latin-1"), NOT_UTF8),
    "picture": (bad.png(5, 4), NOT_UTF8),
    "tab": (with_line("  dataset", "\tdataset"), "s.yaml:3: not valid YAML"),
    "two documents": (f"{GOOD}---\n{GOOD}", "another document"),
    "version of YAML": (f"%YAML 9.9\n---\n{GOOD}", "incompatible YAML document"),
    "list": ("- name: x", "got no mapping of keys"),
    "10,000 brackets": ("name: " + "[" * 10_000, LIMITS),
    "10,000 braces": ("{" * 10_000, LIMITS),
    "10,000 dashes": ("- " * 10_000, LIMITS),
    "1,000 indents": ("\n".join(" " * i + "-" for i in range(1_000)), LIMITS),
    "alias bomb": (f"a: &a [x, x, x, x, x, x, x, x, x]\n{LISTS}\n", LIMITS),
    "merge bomb": ("a: &a {<<: [*a, *a]}\n", LIMITS),
    "alias to itself": ("arms: &a {x: *a}\n", LIMITS),
    "undefined alias": (with_line("batch_size: 5", "batch_size: *x"), "undefined alias 'x'"),
    "merge of a number": (f"{GOOD}<<: 3\n", "expected a mapping"),
    "key twice": (f"{GOOD}seeds: 3\n", "seeds: got this key twice; allowed: once (it is already on line"),
    "python object": (with_line("name: quick", "name: !!python/object/apply:os.system [ls]"), "os.system"),
    "python name": (with_line("name: quick", "name: !!python/name:os.system"), "os.system"),
    "broken tag": (with_line("seeds: 2", "seeds: !%ff 2"), "s.yaml:11: not valid YAML"),
    "bytes": (with_line("batch_size: 5", "batch_size: !!binary aGVsbG8="), "a value that cannot be read as binary"),
    "pairs": (with_line("seeds: 2", "seeds: !!pairs [a: 1]"), "seeds[0]: got ('a', 1)"),
    "set": (with_line("seeds: 2", "seeds: !!set {a, b}"), "a value that cannot be read as set"),
    "no such date": (with_line("seeds: 2", "seeds: 2024-99-99"), "cannot be read as timestamp"),
    "escape beyond Unicode": (with_line("quick", '"\\UFFFFFFFF"'), "s.yaml:1: not valid YAML (got the escape \\UFFFF"),
    "escape just beyond Unicode": (with_line("quick", '"\\U00110000"'), "s.yaml:1: not valid YAML (got the escape"),
    "half a character": (with_line("quick", '"\\ud800"'), "s.yaml:1: name: got '\\ud800'; allowed: text"),
    "5,000 digits": (with_line("batch_size: 5", f"batch_size: {'9' * 5_000}"), "cannot be read as int"),
    "20,000 sexagesimal digits": (with_line("batch_size: 5", f"batch_size: {':'.join(['59'] * 9_999)}"), "read as int"),
    "1e400": (with_line("batch_size: 5", "batch_size: 1e400"), "batch_size: got '1e400'; allowed: a finite number"),
    "infinite batch": (with_line("batch_size: 5", "batch_size: .inf"), "allowed: a finite number"),
    "nan": (with_line("lr: 0.1", "lr: .nan"), "s.yaml:18: arms.constant.schedule.lr: got nan"),
    "batch beyond the rows": (with_line("batch_size: 5", "batch_size: 60001"), "allowed: at most 54000, the training"),
    "10**300 as a seed": (with_line("seeds: 2", f"seeds: [1{'0' * 300}]"), "seeds[0]: got 1000000000"),
    "a billion seeds": (with_line("seeds: 2", "seeds: 1000000000"), "allowed: how many seeds (1 to 10000)"),
    "list of 140,000 seeds": (with_line("seeds: 2", f"seeds: [{','.join(map(str, range(140_000)))}]"), LIMITS),
    "list of 10,001 seeds": (with_line("seeds: 2", f"seeds: [{','.join(map(str, range(10_001)))}]"), "at most 10000"),
    "300,000 digits as a length": (with_line("2 steps", f"'{'9' * 300_000}'"), LENGTH),
    "30,000 digits and spaces": (
        with_line("10 %", f"'{'1' * 30_000}{' ' * 30_000}!'"),
        "a number of rows or a percent",
    ),
    "length without a unit": (with_line("2 steps", "2"), LENGTH),
    "endless length": (with_line("2 steps", "1e8 epochs"), "allowed: at most 20000000 steps"),
    "validation takes all rows": (
        with_line("10 %", "60000 rows"),
        "data.validation: got '60000 rows' of 60000 training rows",
    ),
    "5,000 bad arms": (GOOD + "".join(f"  a{i}: 3\n" for i in range(5_000)), "... and"),
    "8,000 arms": (GOOD + "".join(f"  a{i}: {{schedule: {{lr: 1}}}}\n" for i in range(8_000)), LIMITS),
    "parent folder as name": (with_line("quick", "../quick"), f"name: got '../quick'; allowed: {NAMES}"),
    "absolute name": (with_line("quick", "/tmp/quick"), NAMES),
    "dots as name": (with_line("quick", "'..'"), NAMES),
    "hidden name": (with_line("quick", ".quick"), NAMES),
    "name with a space at the end": (with_line("quick", "'quick '"), NAMES),
    "name with a newline at the end": (with_line("quick", '"quick\\n"'), "got 'quick\\n'"),
    "name with terminal codes": (with_line("quick", '"\\e[31mred\\a"'), "got '\\x1b[31mred\\x07'"),
    "name in look-alike letters": (with_line("quick", "qu\u0456ck"), "got 'qu\\u0456ck'"),
    "name written backwards": (with_line("quick", '"a\\u202eb"'), "got 'a\\u202eb'"),
    "name of 101 characters": (with_line("quick", "a" * 101), f"{'a' * 79}...; allowed: {NAMES}"),
    "name of 990,000 characters": (with_line("quick", "a" * 990_000), NAMES),
    "number as name": (with_line("quick", "3"), "name: got 3; allowed: text"),
    "arm above": (with_arm("../x"), f"arms['../x']: got '../x'; allowed: {NAMES}"),
    "arm with a newline": (with_arm('"a\\nb"'), "arms['a\\nb']: got 'a\\nb'"),
    "arm with terminal codes": (with_arm('"\\e[2J"'), "arms['\\x1b[2J']: got '\\x1b[2J'"),
    "arm without a name": (with_arm('""'), "arms['']: got ''"),
    "arm of 101 characters": (with_arm("b" * 101), NAMES),
    "arms that differ in case": (
        with_arm("CONSTANT"),
        "a name that differs from 'constant' in more than upper and lower",
    ),
    "arm under a reserved name": (with_arm("bounds.json"), "any name but runs, plots, curve.csv, "),
    "unknown key with terminal codes": (f'{GOOD}"\\e[31mx": 1\n', "['\\x1b[31mx']: unknown key"),
    "unknown key of 10,000 characters": (f"? {'k' * 10_000}\n: 1\n", f"['{'k' * 79}...]: unknown key"),
    "published under a made-up name": (with_arm("b", '{published: {"\\e[0m": 1}}'), "'\\x1b[0m'"),
    "data set with terminal codes": (with_line("mnist", '"./a\\e[31m.npz"'), "got './a\\x1b[31m.npz'"),
    "data set with a zero byte": (with_line("mnist", '"./a\\0.npz"'), "got './a\\x00.npz'"),
    "data set of 5,000 characters": (with_line("mnist", f"./{'a' * 5_000}.npz"), "got './aaaa"),
    "data set of a long name": (with_line("mnist", f"./{'a' * 300}.npz"), "no such file or folder exists"),
    "data set of a long reference": (with_line("mnist", f"{'a.' * 50_000}b:f"), "got 'a.a.a.a."),
    "device as data set": (with_line("mnist", "/dev/zero"), "got '/dev/zero', and no such file or folder exists"),
    "missing module": (with_line("mnist", "no_such_module:f"), "no module no_such_module is installed"),
    "missing file of code": (with_line("mnist", "./none.py:f"), "none.py does not exist"),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(*case, marks=[pytest.mark.acceptance] if len(case[0]) > SHORT_BYTES else [], id=name)
        for name, case in SPECS.items()
    ],
)
def test_bad_spec(text: str | bytes, expected: str, folder: Path) -> None:
    path = folder / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refusal(folder, 2, "validate", path)
    assert message.startswith(f"Error: {path}")
    assert expected in message


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)  # a path of a socket is short


NO_FILE = "cannot be read (not a regular file); give the path of a YAML file"
PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (bad.put_fifo, NO_FILE),
    "socket": (put_socket, NO_FILE),
    "endless device": (bad.link_to("/dev/zero"), NO_FILE),
    "empty device": (bad.link_to("/dev/null"), NO_FILE),
    "link in a circle": (bad.put_loop, "cannot be read (Too many levels of symbolic links)"),
    "link to nowhere": (bad.link_to("gone"), "cannot be read (No such file or directory)"),
    "folder": (Path.mkdir, "is a directory"),
    "nothing": (lambda _: None, "cannot be read (No such file or directory)"),
}


@pytest.mark.parametrize(("put", "expected"), PLACES.values(), ids=PLACES.keys())
def test_spec_or_sources_that_are_no_file(put: Callable[[Path], object], expected: str, folder: Path) -> None:
    put(folder / "s.yaml")
    assert expected in refusal(folder, 2, "validate", "s.yaml")
    assert expected in refusal(folder, 2, "data", "list", CLRBENCH_SOURCES="s.yaml").replace("Is a d", "is a d")


SOURCES = {
    "ten megabytes": ("#" * 10_000_000, "got more than 1000000 bytes"),
    "brackets": ("[" * 10_000, LIMITS),
    "address of a file": ("svhn: {train: {url: file:///etc/passwd}}", "svhn.train.url: got 'file:///etc/passwd'"),
    "address with terminal codes": ('svhn: {train: {url: "http://a/\\e[0mx"}}', "got 'http://a/\\x1b[0mx'"),
    "key with terminal codes": ('svhn: {"\\e[0m": {url: "http://a/x"}}', "svhn['\\x1b[0m']: unknown key"),
}


@pytest.mark.parametrize(("text", "expected"), SOURCES.values(), ids=SOURCES.keys())
def test_bad_sources(text: str, expected: str, folder: Path) -> None:
    (folder / "sources.yaml").write_text(text)
    assert expected in refusal(folder, 2, "data", "list", CLRBENCH_SOURCES="sources.yaml")


@pytest.mark.parametrize("command", ["compare", "range-test", "schedule", "parity"])
def test_every_command_refuses_a_bad_spec(command: str, folder: Path) -> None:
    (folder / "s.yaml").write_text(with_line("quick", "../quick"))
    assert NAMES in refusal(folder, 2, command, "s.yaml", "--out", "results")
