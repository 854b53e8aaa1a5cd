"""What a report says of a network of the user's own, from what its runs found when they built it."""

from collections.abc import Iterator

from clrbench.analysis.tables import Findings
from clrbench.layers import BuiltNetwork
from clrbench.report import words
from clrbench.spec import OwnModel


def network_warnings(findings: Findings) -> Iterator[str]:
    """Yield what looks unmeant in it, each thing once."""
    said = (warning for network in _networks(findings) for warning in network.warnings)
    for warning in dict.fromkeys(said):
        yield f"{findings.spec.model.name}: {warning}"


def varied_words(findings: Findings) -> str:
    """Return what the seeds vary, as a sentence."""
    model, networks = findings.spec.model, _networks(findings)
    if isinstance(model, OwnModel):
        draws, is_seeded = any(one.draws for one in networks), all(one.is_seeded for one in networks)
        random = "what the network draws while it trains"
    else:
        draws, is_seeded, random = model.settings().dropout > 0, True, "dropout"
    varied = [*(["initial weights"] if is_seeded else []), "batch order", *([random] if draws else [])]
    return f"Seeds vary only {words.listed(varied)}."


def mixed_words(findings: Findings) -> str:
    """Return in what the runs of a pair differ that is left out."""
    is_own = isinstance(findings.spec.model, OwnModel)
    return "different versions or initial weights" if is_own else "different versions"


def _networks(findings: Findings) -> list[BuiltNetwork]:
    return [one.network for one in findings.provenances if one.network is not None]
