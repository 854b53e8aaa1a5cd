"""`clrbench init`: a spec to start from."""

import re
from importlib.resources import files
from pathlib import Path

from clrbench.answer import Answer
from clrbench.errors import SpecError
from clrbench.spec import NAME_PATTERN


def init(name: str) -> Answer:
    """Write the packaged starter spec as `NAME.yaml` in the current folder; a trailing `.yaml` is not part of the name."""
    stem = name.removesuffix(".yaml")
    if not re.fullmatch(NAME_PATTERN, stem):
        raise SpecError(f"got {name!r}; allowed: a name of letters, digits, '.', '_' and '-', not starting with '.'")
    path = Path(f"{stem}.yaml")
    text = (files("clrbench") / "starter.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace("name: experiment", f"name: {stem}", 1))
    except FileExistsError as err:
        raise SpecError(f"{path}: exists already and is left as it is; choose another name") from err
    except OSError as err:
        raise SpecError(f"{path}: cannot be written ({err.strerror}); go to a folder you may write to") from err
    return Answer(f"{path} written; run clrbench compare {path}", {"path": str(path)})
