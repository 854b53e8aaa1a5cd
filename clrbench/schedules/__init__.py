"""Learning-rate tables: every function is pure, and entry i of its table is the rate that update i uses (0-based).

Every table is float64[num_steps]. All lengths are in steps, at least 1 (one step = one update = one batch); a rate has no
unit. A `ScheduleError` says which argument is out of range, or at which step a rate overflows or is subnormal as float32.
A schedule is a function under `@register` in a module of this package, and the line that imports it here.
"""

from clrbench.schedules.basic import constant as constant
from clrbench.schedules.basic import piecewise as piecewise
from clrbench.schedules.basic import ramp as ramp
from clrbench.schedules.basic import table as table
from clrbench.schedules.basic import warmup as warmup
from clrbench.schedules.cyclic import cycle_end_steps as cycle_end_steps
from clrbench.schedules.cyclic import exp_range as exp_range
from clrbench.schedules.cyclic import exp_range_paper as exp_range_paper
from clrbench.schedules.cyclic import one_cycle as one_cycle
from clrbench.schedules.cyclic import triangular as triangular
from clrbench.schedules.cyclic import triangular2 as triangular2
from clrbench.schedules.decays import END_LR_DIVISOR as END_LR_DIVISOR
from clrbench.schedules.decays import cosine as cosine
from clrbench.schedules.decays import cosine_restarts as cosine_restarts
from clrbench.schedules.decays import exponential_decay as exponential_decay
from clrbench.schedules.decays import linear_decay as linear_decay
from clrbench.schedules.decays import polynomial as polynomial
from clrbench.schedules.decays import step_decay as step_decay
from clrbench.schedules.decays import wsd as wsd
from clrbench.schedules.registry import SCHEDULES as SCHEDULES
