"""What is no readable YAML mapping is refused with the file's name, and its line wherever there is one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from clrbench.errors import SpecError
from clrbench.spec import load_spec
from clrbench.spec.reader import MAX_BYTES, read_yaml, write_yaml

NO_MAPPING = ["", "\n\n", "# only a comment\n", "---\n", "- name: x\n- data: y\n", "hello", "3", "null"]

NOT_YAML = [
    ("tab", "name: x\ndata:\n\tdataset: mnist\n", 3, "'\\t'"),
    ("open bracket", "name: x\nhidden: [100, 50\nbatch_size: 3\n", 3, "expected ',' or ']'"),
    ("open quote", "name: x\nmodel: 'mlp\n", 3, "unexpected end"),
    ("bad indent", "name: x\n  data: y\n", 2, "mapping values are not allowed here"),
    ("undefined alias", "name: x\ndata: *other\n", 2, "undefined alias 'other'"),
    ("two documents", "name: x\n---\nname: y\n", 2, "another document"),
    ("python tag", "name: x\ndata: !!python/object/apply:os.system [ls]\n", 2, "python/object/apply:os.system"),
    ("own tag", "name: x\ndata: !mine y\n", 2, "'!mine'"),
    ("no such date", "name: x\ndata: 2024-99-99\n", 2, "cannot be read as timestamp"),
    ("tagged date", "name: x\ndata: !!timestamp y\n", 2, "cannot be read as timestamp"),
    ("tagged bool", "name: x\ndata: !!bool y\n", 2, "cannot be read as bool"),
    ("tagged int", "name: x\ndata: !!int ''\n", 2, "cannot be read as int"),
    ("tagged float", "name: x\ndata: !!float y\n", 2, "cannot be read as float"),
    ("tagged binary", "name: !!binary aGVsbG8=\n", 1, "cannot be read as binary"),
    ("tagged set", "name: x\nseeds: !!set {a, b}\n", 2, "cannot be read as set"),
    ("tagged mapping", "name: x\ndata: !!map y\n", 2, "expected a mapping node"),
    ("int of 5,000 digits", f"name: x\nbatch_size: {'9' * 5_000}\n", 2, "cannot be read as int"),
    ("int beyond float64", f"name: x\nbatch_size: {'9' * 400}\n", 2, "cannot be read as int"),
    ("hexadecimal beyond float64", f"name: x\nbatch_size: 0x{'f' * 9_000}\n", 2, "cannot be read as int"),
    ("merge of a number", "name: x\ndata:\n  <<: 3\n", 3, "expected a mapping"),
    ("control character", "name: x\ndata: a\0b\n", 2, "U+0000"),
    ("escape character", "name: x\n\ndata: \x1b[0m\n", 3, "U+001B"),
    ("deep nesting", "name: " + "[" * 1_500, 1, "more than 20000 entries or 50 levels"),
    ("no such character", 'name: x\ndata: "\\UFFFFFFFF"\n', 2, r"got the escape \UFFFFFFFF, which stands for no"),
    ("just beyond Unicode", 'name: x\ndata: "a\n  \\U00110000"\n', 3, r"\U00110000, which stands for no character"),
    (
        "negative in 32 bits",
        'name: x\n"\\U80000000": y\n',
        2,
        r"\U80000000, which stands for no character; allowed: at",
    ),
    ("escape of too few digits", 'name: x\ndata: "\\x0"\n', 2, "expected escape sequence of 2 hexadecimal"),
    ("unknown escape", 'name: x\ndata: "\\q"\n', 2, "found unknown escape character 'q'"),
    ("version of 5,000 digits", f"%YAML 1.{'9' * 5_000}\n---\nname: x\n", 1, "9...; allowed: a number of few digits"),
    ("no such hour", "name: x\ndata: 2024-05-06 25:00:00\n", 2, "cannot be read as timestamp"),
    ("no such time zone", "name: x\ndata: 2024-05-06T00:00:00+99:99\n", 2, "cannot be read as timestamp"),
    ("binary that is none", "name: x\ndata: !!binary x\n", 2, "failed to decode base64 data"),
    ("tagged int of no digit", "name: x\ndata: !!int _\n", 2, "cannot be read as int"),
    ("sexagesimal that is none", "name: x\ndata: !!float 1:a\n", 2, "cannot be read as float"),
    ("half a character as a float", 'name: x\ndata: !!float "\\ud800"\n', 2, "cannot be read as float"),
    ("sexagesimal beyond float64", f"name: x\ndata: 1:{':'.join(['59'] * 999)}.5\n", 2, "cannot be read as float"),
    ("merge of a list of numbers", "name: x\ndata:\n  <<: [3]\n", 3, "expected a mapping for merging"),
    ("long alias", f"name: x\ndata: *{'a' * 90_000}\n", 2, f"undefined alias '{'a' * 99}"),
]

BAD_KEYS = [
    ("number", "name: x\n3: y\n", "2: spec: got the key 3, which YAML reads as int"),
    (
        "half a character",
        'name: x\ndata:\n  "\\ud800": y\n',
        r"3: data: got the key '\ud800', which holds half a character",
    ),
    (
        "half a character as bytes",
        'name: x\n? !!binary "\\ud800"\n: y\n',
        r"2: spec: got the key '\ud800', which YAML reads as binary",
    ),
    ("terminal codes", '!!int "\\e[31m": y\n', r"1: spec: got the key '\x1b[31m', which YAML reads as int"),
    ("terminal codes in a tag", "!%1b[31m x: y\n", r"1: spec: got the key x, which YAML reads as '!\x1b[31m'"),
    ("switch", "name: x\narms:\n  on: y\n", "3: arms: got the key on, which YAML reads as bool"),
    ("nothing", "data:\n  ~: y\n", "2: data: got the key ~, which YAML reads as null"),
    ("date", "data: {2024-05-06: y}\n", "1: data: got the key 2024-05-06, which YAML reads as timestamp"),
    ("list", "name: x\n? [a, b]\n: y\n", "2: spec: got the key [...], which YAML reads as seq"),
    ("mapping", "seeds:\n- {{a: b}: c}\n", "2: seeds[0]: got the key [...], which YAML reads as map"),
]

DUPLICATE_KEYS = [
    ("top", "name: x\ndata: y\nname: z\n", "3: name: got this key twice; allowed: once (it is already on line 1)"),
    ("arm", "arms:\n  clr: 1\n  'clr': 2\n", "3: arms.clr: got this key twice; allowed: once (it is already on line 2"),
    ("flow", "model: {name: mlp, name: cnn}\n", "1: model.name: got this key twice; allowed: once"),
    ("list", "a:\n- b: 1\n  b: 2\n", "3: a[0].b: got this key twice; allowed: once (it is already on line 2)"),
]

LEVELS = "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(9))
BOMBS = {
    "lists": f"a: &a [x, x, x, x, x, x, x, x, x]\n{LEVELS}\n",
    "itself in a list": "a: &a [*a]\n",
    "itself in a mapping": "&a\nname: x\ndata: *a\n",
    "itself merged": "a: &a\n  <<: *a\n",
}


def refusal(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    return str(caught.value)


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "spec.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("text", NO_MAPPING)
def test_content_that_is_no_mapping(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    expected = "got no mapping of keys to values; `clrbench init` writes a spec to start from"
    assert refusal(path) == f"{path}: {expected}"


@pytest.mark.parametrize(("text", "line", "problem"), [case[1:] for case in NOT_YAML], ids=[c[0] for c in NOT_YAML])
def test_invalid_yaml_names_its_line(text: str, line: int, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    message = refusal(path)
    assert message.startswith(f"{path}:{line}: not valid YAML (")
    assert problem in message
    assert message.endswith("); `clrbench init` writes a spec to start from")
    assert message.isprintable()
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize("escape", [r"\U0010FFFF", r"\U00010000", r"\x41", r"\u00e9", r"\ud7ff"])
def test_escape_of_a_character_is_that_character(escape: str, tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, f'name: "{escape}"\n'))[0] == {"name": chr(int(escape[2:], 16))}


def test_python_tags_run_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    refusal(written(tmp_path, f"name: !!python/object/apply:pathlib.Path.touch [{victim}]\n"))
    assert not victim.exists()


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in BAD_KEYS], ids=[case[0] for case in BAD_KEYS])
def test_key_that_is_not_text(text: str, expected: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    assert refusal(path) == f"{path}:{expected}; allowed: text, in quotes if need be"


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in DUPLICATE_KEYS], ids=[c[0] for c in DUPLICATE_KEYS])
def test_key_given_twice_names_both_lines(text: str, expected: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    assert refusal(path).startswith(f"{path}:{expected}")


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_alias_bomb_is_refused_at_once(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    start = time.perf_counter()
    message = refusal(path)
    assert time.perf_counter() - start < 3
    limit = "20000 entries or 50 levels"
    assert message == f"{path}: got more than {limit} once its aliases are followed; write a smaller spec"


def test_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = written(tmp_path, b"#" * 2 * MAX_BYTES)
    assert refusal(path) == f"{path}: got more than 1000000 bytes; a spec has at most so many"


def test_device_is_refused_unopened() -> None:
    assert refusal(Path("/dev/zero")) == "/dev/zero: cannot be read (not a regular file); give the path of a YAML file"


@pytest.mark.parametrize("content", [b"name: \xff\xfe", "name: mnist".encode("utf-16"), "name: é".encode("latin-1")])
def test_file_that_is_not_utf8(content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    assert refusal(path) == f"{path}: cannot be read (not UTF-8 text); give the path of a YAML file"


def test_missing_file_and_folder(tmp_path: Path) -> None:
    missing = tmp_path / "no.yaml"
    assert refusal(missing) == f"{missing}: cannot be read (No such file or directory); give the path of a YAML file"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read (Is a directory); give the path of a YAML file"


def test_every_key_and_item_has_its_line(tmp_path: Path) -> None:
    text = "# comment\nname: x\r\n\nmodel:\n  hidden:\n  - 100\n  - 50\narms: {a: {b: 1},\n  c: 2}\n"
    data, lines = read_yaml(written(tmp_path, text))
    assert data == {"name": "x", "model": {"hidden": [100, 50]}, "arms": {"a": {"b": 1}, "c": 2}}
    assert lines == {
        (): 2,
        ("name",): 2,
        ("model",): 4,
        ("model", "hidden"): 5,
        ("model", "hidden", 0): 6,
        ("model", "hidden", 1): 7,
        ("arms",): 8,
        ("arms", "a"): 8,
        ("arms", "a", "b"): 8,
        ("arms", "c"): 9,
    }


def test_anchors_and_merges_are_followed(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: *a\n"
    assert read_yaml(written(tmp_path, text))[0] == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, b"\xef\xbb\xbfname: x\n"))[0] == {"name": "x"}


def test_written_yaml_keeps_order_and_text_that_looks_like_something_else(tmp_path: Path) -> None:
    data = {"z": "1e-3", "a": ["no", "2024-05-06", "0x1f", "null", "=", "é"], "m": {"lr": 1e-05, "big": 1e22}}
    text = write_yaml(data)
    assert read_yaml(written(tmp_path, text))[0] == data
    assert [line[0] for line in text.splitlines() if line[0].isalpha()] == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("line", "advised"),
    [
        ("train: {command: python t.py {seed}, steps_per_epoch: 5}", True),
        ("train: {steps_per_epoch: 5, command: sh {seed} x}", True),
        ("train: {command: 'python t.py {seed}', steps_per_epoch: 5", False),
        ("train: {command: python t.py, steps_per_epoch: [5}", False),
    ],
)
def test_a_placeholder_within_braces_is_to_be_quoted(line: str, advised: bool, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"name: x\n{line}\n")
    with pytest.raises(SpecError, match=r":[23]: not valid YAML") as refused:
        read_yaml(path)
    assert str(refused.value).endswith("; put what holds {seed} in quotes") == advised
