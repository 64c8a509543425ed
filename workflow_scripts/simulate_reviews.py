"""Rule simulate_reviews: what a reviewer who knows the truth would answer."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from ssc_core.config.labelling import CompatSettings, ReviewingSettings
from ssc_core.files import atomic_path
from ssc_core.masks.reviews import append_review
from ssc_core.refer.truth import TruthStore
from ssc_core.report.run import Run
from ssc_core.review.simulated import simulated_reviews
from ssc_core.select.stage import select_masks
from workflow_scripts._script import run


def main(
    refs: Path,
    nouns: Path,
    masks: Path,
    scores: list[Path],
    truth: Path,
    split: str,
    settings: ReviewingSettings,
    compat: CompatSettings,
    out: Path,
) -> None:
    """Whom the page would ask about follows from what Select chooses without anybody's word: it is chosen here anew."""
    with ExitStack() as stack:
        selected = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "selected.h5"
        select_masks(
            refs=refs, split=split, masks=masks, scores=scores, out=selected, settings=settings.select, compat=compat
        )
        page = Run.open(stack, "", split, refs=refs, nouns=nouns, masks=masks, scores=scores, selected=selected)
        temporary = stack.enter_context(atomic_path(out))
        temporary.touch()
        for review in simulated_reviews(page, TruthStore(truth), settings.reviewer):
            append_review(temporary, review)


if __name__ == "__main__":
    run(main)
