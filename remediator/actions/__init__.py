"""What can be done to a target: one file per family, each a pure `plan(params, view) -> Change`. The effector sends."""
