"""The formula of each schedule in plain Python: constants that can be changed, and the function `lr(step)`."""

from collections.abc import Iterator, Mapping
from textwrap import indent
from typing import Any

from clrbench.schedules import SCHEDULES
from clrbench.spec import BaseCyclic, Clock, Length, Schedule, Share

RATES_A_LINE = 8
INDENT = "    "

_WAVE = """\
cycle, position = divmod(step, STEP_SIZE + STEP_SIZE_DOWN)
height = min(position / STEP_SIZE, (STEP_SIZE + STEP_SIZE_DOWN - position) / STEP_SIZE_DOWN)
"""
_ELAPSED_AND_END = "elapsed = step / max(1, LAST_STEP)\n"
_ONE_CYCLE = """\
peak = PCT_START * (LAST_STEP + 1) - 1
if step <= peak:
    height, low = step / peak, MAX_LR / DIV_FACTOR
else:
    height, low = (LAST_STEP - step) / (LAST_STEP - peak), MAX_LR / DIV_FACTOR / FINAL_DIV_FACTOR
"""
_COSINE_RESTARTS = """\
period = PERIOD_STEPS
if MULTIPLIER == 1:
    step %= period
while step >= period:
    step -= period
    period *= MULTIPLIER
return END_LR + (LR - END_LR) * (1 + math.cos(math.pi * step / period)) / 2
"""
_WSD = """\
decay_steps = max(1, min(round(DECAY_SHARE * (LAST_STEP + 1)), LAST_STEP))
elapsed = max(step - max(LAST_STEP - decay_steps, 0), 0) / decay_steps
"""
_LEFT = {
    "linear": "1 - elapsed",
    "cosine": "(1 + math.cos(math.pi * elapsed)) / 2",
    "sqrt": "1 - math.sqrt(elapsed)",
}


def _formula(schedule: Schedule) -> str | None:
    """Return the body of a function of `step`, from 0 on after the warm-up; None of a schedule that has no formula here."""
    kind, keys = schedule.name, dict(schedule)
    height = {"linear": "height", "cos": "math.sin(math.pi / 2 * height) ** 2"}.get(keys.get("anneal", ""), "")
    bodies = {
        "constant": "return LR\n",
        "piecewise": (
            "reached = [factor for start, factor in MILESTONES.items() if step >= start]\n"
            "return LR * (reached[-1] if reached else 1.0)\n"
        ),
        "triangular": f"{_WAVE}return BASE_LR + (MAX_LR - BASE_LR) * height\n",
        "triangular2": f"{_WAVE}return BASE_LR + (MAX_LR - BASE_LR) * height * 0.5**cycle\n",
        "exp_range": f"{_WAVE}return BASE_LR + (MAX_LR - BASE_LR) * height * GAMMA**step\n",
        "exp_range_paper": f"{_WAVE}return (BASE_LR + (MAX_LR - BASE_LR) * height) * GAMMA**step\n",
        "one_cycle": f"{_ONE_CYCLE}return low + (MAX_LR - low) * {height}\n",
        "linear_decay": f"{_ELAPSED_AND_END}return LR + (END_LR - LR) * elapsed\n",
        "cosine": f"{_ELAPSED_AND_END}return END_LR + (LR - END_LR) * (1 + math.cos(math.pi * elapsed)) / 2\n",
        "polynomial": f"{_ELAPSED_AND_END}return END_LR + (LR - END_LR) * (1 - elapsed) ** POWER\n",
        "step_decay": "return LR * FACTOR ** (step // EVERY_STEPS)\n",
        "exponential_decay": "return LR * GAMMA ** (step / STEPS_PER_EPOCH)\n",
        "cosine_restarts": _COSINE_RESTARTS,
        "wsd": f"{_WSD}return END_LR + (LR - END_LR) * ({_LEFT.get(keys.get('shape', ''), '')})\n",
    }
    return bodies.get(kind)


def python_source(schedule: Schedule, clock: Clock, duration: Length) -> str:
    """Return the constants of a schedule and the function `lr(step)` as Python source, which imports `math` at most.

    Lengths that were given in epochs follow from STEPS_PER_EPOCH. A schedule without a formula is a tuple of rates.

    Args:
        schedule: All its rates known.
        clock: Steps of an epoch and of the whole run.
        duration: Of the run, as the spec has it.
    """
    body = _formula(schedule)
    in_epochs = duration.unit == "epochs" and round(duration.amount * clock.steps_per_epoch) == clock.num_steps
    num_steps = _length(duration) if in_epochs and body is not None else str(clock.num_steps)
    constants = {"STEPS_PER_EPOCH": str(clock.steps_per_epoch), "NUM_STEPS": num_steps}
    if body is None:
        return _source(constants | {"RATES": _tuple(schedule, clock)}, _LR.format(body=f"{INDENT}return RATES[step]\n"))
    after_warmup = "NUM_STEPS"
    if schedule.warmup is not None:
        constants["WARMUP_STEPS"], after_warmup = _length(schedule.warmup), "(NUM_STEPS - WARMUP_STEPS)"
    constants |= dict(_constants(schedule, after_warmup))
    if "LAST_STEP" in body:
        constants["LAST_STEP"] = f"{after_warmup.strip('()')} - 1"
    if schedule.warmup is None:
        return _source(constants, _LR.format(body=indent(body, INDENT)))
    return _source(constants, _LR.format(body=_WARMED_UP) + _AFTER_WARMUP.format(body=indent(body, INDENT)))


_LR = '''\
def lr(step: int) -> float:
    """Return the learning rate of an update; step 0 is the first. Past the last one the rate stays what it was."""
    step = min(step, NUM_STEPS - 1)
{body}'''
_WARMED_UP = f"""\
{INDENT}if step < WARMUP_STEPS:
{INDENT}    return _after_warmup(0) * (step + 1) / (WARMUP_STEPS + 1)
{INDENT}return _after_warmup(step - WARMUP_STEPS)
"""
_AFTER_WARMUP = """

def _after_warmup(step: int) -> float:
{body}"""


def _source(constants: Mapping[str, str], function: str) -> str:
    lines = "".join(f"{name} = {value}\n" for name, value in constants.items())
    imported = "import math\n\n" if "math." in function else ""
    return f"{imported}{lines}\n\n{function}"


def _constants(schedule: Schedule, after_warmup: str) -> Iterator[tuple[str, str]]:
    for name in SCHEDULES[schedule.name].parameters:
        if name in {"steps_per_epoch", "anneal", "shape"}:
            continue
        value = getattr(schedule, name.removesuffix("_steps").removesuffix("_share"))
        if name == "step_size" and isinstance(schedule, BaseCyclic) and schedule.cycles is not None:
            yield "STEP_SIZE", f"{after_warmup} / (2 * {schedule.cycles:g})"
        elif name == "step_size_down" and value is None:
            yield "STEP_SIZE_DOWN", "STEP_SIZE"
        elif name == "milestones":
            yield "MILESTONES", f"{{{', '.join(f'{_length(start)}: {factor!r}' for start, factor in value)}}}"
        else:
            yield name.upper(), _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, Length):
        return _length(value)
    return repr(value.amount / 100 if isinstance(value, Share) else value)


def _length(length: Length) -> str:
    if length.unit == "steps":
        return str(int(length.amount))
    epochs = float(length.amount)
    amount = repr(epochs).removesuffix(".0")
    if epochs < 1:
        return f"max(1, round({amount} * STEPS_PER_EPOCH))"
    return f"{amount} * STEPS_PER_EPOCH" if epochs.is_integer() else f"round({amount} * STEPS_PER_EPOCH)"


def _tuple(schedule: Schedule, clock: Clock) -> str:
    rates = [repr(rate) for rate in schedule.table(clock).tolist()]
    lines = [", ".join(rates[start : start + RATES_A_LINE]) for start in range(0, len(rates), RATES_A_LINE)]
    return f"(\n{''.join(f'{INDENT}{line},{chr(10)}' for line in lines)})"
