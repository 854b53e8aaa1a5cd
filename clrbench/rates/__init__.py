"""Which trainings find the rates to train at, one request after another, and what they come to; nothing is trained here."""

from clrbench.rates.records import Outcome, Problem, Rates, Request, Run, Tried

__all__ = ["Outcome", "Problem", "Rates", "Request", "Run", "Tried"]
