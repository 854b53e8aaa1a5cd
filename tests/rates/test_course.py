"""The course of runs that finds rates, in a toy world where every training takes no time."""

import math
from dataclasses import replace

import numpy as np
import pytest
from rates_world import World, draw, problem, solve

from clrbench.rates import Outcome, Rates, Request, Run
from clrbench.rates.course import next_step
from clrbench.rates.lattice import place_of, rate_at
from clrbench.rates.records import Tried
from clrbench.rates.sweep import read
from clrbench.rates.triangles import Bounded
from clrbench.records import Bounds

EASY = World()
WAYS = {
    "linear": {"start_lr": 1e-3, "end_lr": 1.0, "ramp": "linear"},
    "exponential": {"start_lr": 1e-4, "end_lr": 3.0, "ramp": "exponential"},
    "found, linear": {"ramp": "linear"},
    "found, exponential": {"ramp": "exponential"},
}


@pytest.fixture
def no_curves(monkeypatch):
    """Leave out the fit of the curves, which takes half a second each and decides nothing but base_lr."""
    monkeypatch.setattr("clrbench.rates.sweep.read", lambda *_: Bounds(None, None, "flat: not fitted"))


def regret(world, found, num_steps=600):
    reached = np.nan_to_num(world.accuracy(np.full(num_steps, found.constant_lr))[-1])
    return world.best_constant(num_steps) - reached


@pytest.mark.usefixtures("no_curves")
def test_stages_come_in_their_order():
    _, _, requests = solve(EASY, problem(EASY))
    stages = [request.stage for request in requests]
    assert sorted(stages, key=["find", "sweep", "confirm", "triangles"].index) == stages
    assert set(stages) == {"find", "sweep", "confirm", "triangles"}


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("way", WAYS)
def test_all_runs_together_make_at_most_three_times_the_updates_of_the_plain_sweep(way):
    rng = np.random.default_rng(21)
    for _ in range(6):
        world = draw(rng)
        for arm_steps, sweep_steps in ((600, 250), (180, 150), (3000, 100)):
            asked = problem(world, arm_steps=arm_steps, sweep_steps=sweep_steps, **WAYS[way])
            found, evidence, _ = solve(world, asked)
            made = sum(outcome.updates for outcome in evidence.values())
            assert made <= 3 * sweep_steps * 3
            assert found.updates == made


def test_an_answer_depends_on_nothing_but_what_was_made():
    asked = problem(EASY)
    found, evidence, requests = solve(EASY, asked)
    # In any order, and with runs that nobody asked for.
    stranger = replace(next(iter(evidence)), seed=77)
    shuffled = {run: evidence[run] for run in reversed(evidence)} | {stranger: EASY.outcome(stranger)}
    # As text, in which nan is nan: from Python 3.13 on, records that hold it equal nothing.
    assert repr(next_step(asked, shuffled)) == repr(found)
    for number, request in enumerate(requests):
        before = {run: evidence[run] for earlier in requests[:number] for run in earlier.runs}
        assert next_step(asked, before) == request
        half = before | {run: evidence[run] for run in request.runs[1:]}
        assert next_step(asked, half) == Request(request.stage, request.runs[:1])


@pytest.mark.usefixtures("no_curves")
def test_constants_and_triangles_lie_on_the_lattice_whatever_the_ramp():
    constants = set()
    for way in WAYS.values():
        _, _, requests = solve(EASY, problem(EASY, **way))
        runs = [run for request in requests if request.stage in {"confirm", "triangles"} for run in request.runs]
        places = np.array([place_of(run.high) for run in runs])
        np.testing.assert_allclose(places, np.rint(places), atol=0.01)
        constants.add(frozenset(run.high for run in runs if run.kind == "constant"))
    assert len(set.union(*map(set, constants))) <= 8


@pytest.mark.usefixtures("no_curves")
def test_regret_is_small_and_the_ways_agree():
    rng, regrets, factors = np.random.default_rng(5), [], []
    for _ in range(12):
        world = draw(rng)
        found = [solve(world, problem(world, **way))[0] for way in WAYS.values()]
        rates = [one.constant_lr for one in found]
        reached = [regret(world, one) for one in found]
        regrets += reached
        factors.append(max(rates) <= 2 * min(rates) or max(reached) - min(reached) <= 0.005)
    assert np.median(regrets) <= 0.012
    assert np.quantile(regrets, 0.9) <= 0.04
    assert np.mean(factors) >= 0.9


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("rate", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0])
def test_wherever_the_best_rate_lies_it_is_found(rate):
    world = World(rate=rate, limit=8 * rate)
    found, _, _ = solve(world, problem(world))
    assert regret(world, found) <= 0.03
    assert found.limits[0] <= found.constant_lr <= found.limits[1]
    assert found.found


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("way", ["linear", "exponential"])
def test_limits_that_miss_the_best_rate_do_not_keep_it_from_being_found(way):
    # Adam, and the starter's own linear ramp: the best rate lies at the first point.
    world = World(rate=2e-4, limit=0.05, noise=0.02)
    found, _, _ = solve(world, problem(world, **WAYS[way]))
    assert regret(world, found) <= 0.03
    assert found.constant_lr < 0.005


def test_limits_are_left_once_where_the_curve_rose_before_them_and_it_is_said():
    world = World(rate=2e-4, limit=0.5, noise=0.01)
    asked = problem(world, start_lr=1e-3, end_lr=0.3, ramp="exponential")
    _, _, requests = solve(world, asked)
    sweeps = [request for request in requests if request.stage == "sweep"]
    assert len(sweeps) == 2
    assert {run.low for run in sweeps[1].runs} == {1e-4}
    assert len(sweeps[1].runs) == 1


def test_a_loss_past_the_limit_at_update_1_is_not_the_rate():
    world = World(first_loss=191.7)
    found, _, requests = solve(world, problem(world))
    assert found.reason.startswith("loss too high from the start: the loss of update 1 is 191.7")
    assert (found.base_lr, found.max_lr, found.constant_lr) == (None, None, None)
    assert {request.stage for request in requests} == {"find"}


def test_no_finite_loss_at_update_1_is_not_the_rate_either():
    world = World(first_loss=math.nan)
    assert solve(world, problem(world))[0].reason.startswith("nan from the start")


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("rows", [100, 400, 600])
@pytest.mark.parametrize("way", ["linear", "found, exponential"])
def test_what_cannot_be_learned_is_refused(way, rows):
    for seed in range(4):
        world = World(height=0.0, rows=rows)
        asked = problem(world, seeds=(seed, seed + 10, seed + 20), **WAYS[way])
        found, _, _ = solve(world, asked)
        assert found.reason.startswith("flat")
        assert found.constant_lr is None


@pytest.mark.usefixtures("no_curves")
def test_the_majority_share_is_no_answer():
    # 99 : 1, "always class 0": .5 in balanced accuracy, which is what counts there.
    world = World(height=0.0, floor=0.5, rows=500, classes=2)
    asked = problem(world, class_counts=(495, 5), num_classes=2)
    assert asked.floor.uses_balanced_accuracy
    assert solve(world, asked)[0].reason.startswith("flat")
    # 70 : 30 is near enough to even: .7 in plain accuracy is no rise.
    plain = World(height=0.0, floor=0.7, rows=500, classes=2)
    asked = problem(plain, class_counts=(350, 150), num_classes=2)
    assert not asked.floor.uses_balanced_accuracy
    assert solve(plain, asked)[0].reason.startswith("flat")


def test_a_loss_alone_is_enough():
    found, _, _ = solve(EASY, problem(EASY), loss_only=True)
    assert regret(EASY, found) <= 0.03
    assert "read off the loss alone, without accuracy" in found.caveats


@pytest.mark.parametrize("way", ["linear", "exponential"])
def test_without_confirmation_the_constant_is_a_third_of_max_lr_and_says_so(way):
    found, _, requests = solve(EASY, problem(EASY, confirm=False, **WAYS[way]))
    assert {request.stage for request in requests} == {"sweep"}
    assert found.constant_lr == pytest.approx(found.max_lr / 3)
    assert not found.confirmed
    assert "constant_lr is max_lr / 3, a rule of thumb; nothing was trained at it" in found.caveats


@pytest.mark.parametrize("steps", [1, 5, 11])
def test_a_sweep_of_few_steps_is_refused_before_anything_is_trained(steps):
    found = next_step(problem(EASY, sweep_steps=steps), {})
    assert isinstance(found, Rates)
    assert found.reason.startswith("too few points")
    assert found.reason.endswith(f"a sweep has {steps} update{'s' * (steps != 1)}")


@pytest.mark.usefixtures("no_curves")
def test_a_confirmation_shorter_than_the_arms_says_for_how_long_it_holds():
    found, _, _ = solve(EASY, problem(EASY, arm_steps=6000))
    assert found.num_steps < 6000
    assert f"confirmed over only {found.num_steps} of the arms' 6000 updates" in found.caveats
    long, _, _ = solve(EASY, problem(EASY, arm_steps=100))
    assert long.num_steps == 100
    assert not [text for text in long.caveats if text.startswith("confirmed over")]


@pytest.mark.usefixtures("no_curves")
def test_max_lr_collapsed_in_no_seed():
    rng = np.random.default_rng(9)
    for _ in range(6):
        world = draw(rng)
        found, _, _ = solve(world, problem(world))
        tried = {one.lr: one for one in found.triangles}
        assert found.max_lr not in tried or not tried[found.max_lr].collapsed
        assert found.max_lr <= world.limit


@pytest.mark.usefixtures("no_curves")
def test_a_bound_whose_own_trial_was_too_short_to_clear_guessing_says_so(monkeypatch):
    def slow(_, constant):
        yield from ()
        tried = Tried(rate_at(constant + 2), (0,), 150, 0.5, 0.1, 0.01, collapsed=(0,))
        return Bounded(constant + 2, {constant + 2: tried})

    monkeypatch.setattr("clrbench.rates.course.triangles", slow)
    found, _, _ = solve(EASY, problem(EASY))
    text = "max_lr is below the lowest bound that beats chance within 150 updates; arms run for 600"
    assert text in found.caveats


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("seeds", [1, 2, 3, 8])
def test_any_number_of_seeds_will_do(seeds):
    found, _, _ = solve(EASY, problem(EASY, seeds=tuple(range(seeds))))
    assert regret(EASY, found) <= 0.05


def test_base_lr_is_below_max_lr_or_withheld_alone():
    for way in WAYS.values():
        found, _, _ = solve(EASY, problem(EASY, **way))
        assert found.max_lr is not None
        assert found.triangle_base_lr <= found.max_lr / 3
        assert (found.base_lr is None) == any("base_lr is not known" in text for text in found.caveats)


@pytest.mark.parametrize("rate", [0.003, pytest.param(0.1, marks=pytest.mark.acceptance)])
def test_all_ways_lead_to_the_same_base_lr_within_a_factor_of_two(rate):
    world = World(rate=rate, limit=8 * rate)
    named = [solve(world, problem(world, **way))[0] for way in WAYS.values()]
    bases = [found.triangle_base_lr for found in named]
    assert max(bases) <= 2 * min(bases)
    assert sum(found.base_lr is not None for found in named) >= 2


def test_sweeps_that_ended_at_update_1_name_the_loss_and_the_trainings_count(monkeypatch):
    curve = Bounds(None, None, "loss too high from the start: the loss of update 1 is 145; scale the inputs")
    monkeypatch.setattr("clrbench.rates.sweep.read", lambda *_: curve)
    found, _, _ = solve(EASY, problem(EASY))
    assert found.reason is None
    assert [text for text in found.caveats if "(loss too high from the start: the loss of update 1 is 145)" in text]


def test_a_sweep_that_was_never_evaluated_is_read_by_its_training_loss():
    run = Run("linear", 1e-3, 1.0, 0, 60)
    nothing = np.full(60, np.nan)
    outcome = Outcome(np.append(145.4, nothing[1:]), np.arange(1.0, 61), nothing, nothing)
    found = read(problem(EASY, sweep_steps=60), (run,), (outcome,))
    assert found.reason.startswith("loss too high from the start: the loss of update 1 is 145.4")


@pytest.mark.usefixtures("no_curves")
@pytest.mark.parametrize("seeds", [(0, 1, 2), (3, 4, 5), (6, 7)])
def test_a_network_that_begins_to_learn_late_is_answered(seeds):
    world = World(delay=600.0, limit=0.3, noise=0.0)
    found, _, requests = solve(world, problem(world, seeds=seeds, sweep_steps=750 // len(seeds)))
    short = [one for one in found.constants if one.num_steps < found.num_steps]
    assert [one for one in short if not one.collapsed] == []
    assert regret(world, found) <= 0.1
    assert found.max_lr >= found.constant_lr
    assert max(run.num_steps for run in requests[-1].runs) == found.num_steps
    assert "max_lr is 1.8 times constant_lr: no updates were left for training in cycles" in found.caveats


@pytest.mark.parametrize(
    ("read_off", "part"),
    [(3e-6, 0.1), (None, None), ("max_lr / 7", 1 / 7), ("max_lr / 4", 0.2), ("max_lr / 2", None), (50.0, None)],
)
def test_base_lr_stays_near_the_tenth_that_triangles_were_tried_from(monkeypatch, read_off, part):
    max_lr = solve_without_curves(monkeypatch, None).max_lr
    base_lr = max_lr / int(read_off[-1]) if isinstance(read_off, str) else read_off
    found = solve_without_curves(monkeypatch, base_lr)
    assert (found.max_lr, found.sweep_base_lr) == (max_lr, base_lr)
    assert found.base_lr == (None if part is None else pytest.approx(part * max_lr))
    assert found.triangle_base_lr == pytest.approx((part or 0.1) * max_lr)


def solve_without_curves(monkeypatch, base_lr):
    monkeypatch.setattr("clrbench.rates.sweep.read", lambda *_: Bounds(base_lr, 100.0, None, constant_lr=33.0))
    return solve(EASY, problem(EASY))[0]
