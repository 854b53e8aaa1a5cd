"""Range tests at half their length, which show whether their bounds depend on it; apart from `runs`, as it loads scipy."""

from clrbench.data import DatasetSizes
from clrbench.errors import SpecError
from clrbench.planning.runs import RangeTestGroup, range_test_runs
from clrbench.range_test import MIN_POINTS
from clrbench.spec import BackendName, Length, RunSpec, Spec


def half_length_runs(
    spec: Spec, group: RangeTestGroup, sizes: DatasetSizes, backends: tuple[BackendName, ...]
) -> list[RunSpec]:
    """Return the runs of a range test at half its length: the same seeds and rates, half the steps, rounded down."""
    duration = spec.range_test.duration
    whole_steps = range_test_runs(spec, group, sizes, backends)[0].num_steps
    if whole_steps // 2 < MIN_POINTS:
        raise SpecError(
            f"got {duration}, which is {whole_steps} steps; allowed with --check-length: at least {2 * MIN_POINTS} "
            f"steps, as half of them must still give {MIN_POINTS} points; lengthen the test, or leave --check-length out",
            key=("range_test", "duration"),
        )
    shorter = spec.range_test.model_copy(update={"duration": Length(whole_steps // 2, "steps")})
    return range_test_runs(spec.model_copy(update={"range_test": shorter}), group, sizes, backends)
