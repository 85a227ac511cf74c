"""A remediation's life: plan, guard, reserve, act once, verify, undo. `decide` is pure; the runner does the I/O
around it."""
