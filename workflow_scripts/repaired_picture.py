"""Rule picture_repaired: three sentences that Select got wrong and Correct right."""

from contextlib import ExitStack
from pathlib import Path

from ssc_core.evaluate.schema import read_eval
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.refer.truth import TruthStore
from ssc_core.report.examples import ExampleFiles
from ssc_core.report.finding_pictures import compare, write_repaired_picture
from workflow_scripts._script import run


def main(
    refs: Path, truth: Path, masks: Path, selected: Path, network: Path, candidates: Path, images: Path, out: Path
) -> None:
    """network, candidates: eval files of the corrected network and of the candidates, on the same split."""
    about = read_eval(network)
    with ExitStack() as stack:
        sources = ExampleFiles(
            photos=open_photos(refs, images).or_grey,
            truth=TruthStore(truth),
            masks=stack.enter_context(MaskStore.open(masks)),
            selected=stack.enter_context(SelectionStore(selected)),
        )
        where = f"{about.dataset} {about.split}, {about.world} world"
        write_repaired_picture(compare(network, candidates), sources, out, where=where, count=3, columns=1)


if __name__ == "__main__":
    run(main)
