"""Every mutant, by its name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.mutants import (
    of_approvers,
    of_attempts,
    of_effects,
    of_guards,
    of_people,
    of_proof,
    of_releases,
    of_requests,
    of_rows,
    of_store,
)
from tests.mutants.mutant import Mutant

ALL: tuple[Mutant, ...] = (
    *of_guards.ALL,
    *of_requests.ALL,
    *of_attempts.ALL,
    *of_effects.ALL,
    *of_releases.ALL,
    *of_rows.ALL,
    *of_people.ALL,
    *of_approvers.ALL,
    *of_proof.ALL,
    *of_store.ALL,
)
BY_NAME: Mapping[str, Mutant] = {mutant.name: mutant for mutant in ALL}
