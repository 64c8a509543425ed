"""Rule matching_accuracy: how often training matched the true object, epoch by epoch."""

from pathlib import Path

from ssc_core.config.labelling import CompatSettings
from ssc_core.evaluate.matching_accuracy import matching_accuracy
from ssc_core.files import atomic_path
from ssc_core.masks.store import MaskStore
from ssc_core.refer.truth import TruthStore
from ssc_core.tables import read_frame
from workflow_scripts._script import run


def main(matches: Path, masks: Path, truth: Path, compat: CompatSettings, table: Path) -> None:
    with MaskStore.open(masks) as store:
        accuracy = matching_accuracy(read_frame(matches, made_by="correct"), store, TruthStore(truth), compat)
    with atomic_path(table) as temporary:
        accuracy.to_csv(temporary, index=False)
    print(accuracy.to_string(index=False))


if __name__ == "__main__":
    run(main)
