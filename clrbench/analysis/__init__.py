"""Run files -> numbers and decisions: tables, bounds, chosen rates, verdicts; draws and words nothing."""
