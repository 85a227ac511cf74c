"""The limits: one file each, each a pure `check(facts) -> Verdict`; their order is written once, in `order.py`."""
