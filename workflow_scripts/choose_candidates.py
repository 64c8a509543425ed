"""Rule choose_candidates: for every sentence the candidate that a trained network fits best."""

from ssc_core.correct.choose import choose_candidates
from workflow_scripts._script import run

run(choose_candidates)
