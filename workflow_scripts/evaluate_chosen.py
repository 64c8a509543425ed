"""Rule evaluate_chosen: metrics of a network's choice among the candidates, measured as a network is."""

from pathlib import Path

from ssc_core.evaluate.model import evaluate_stored
from ssc_core.evaluate.pairs import selected_masks
from ssc_core.masks.selection import SelectionStore
from ssc_core.refer.ref_table import read_refs
from ssc_core.refer.refs_digest import TableRefs
from workflow_scripts._evaluation import Evaluation
from workflow_scripts._script import plain, run


def main(asked: Evaluation, chosen: Path, method: str) -> None:
    """method: of the network that chose."""
    table = read_refs(asked.refs)
    with SelectionStore(chosen) as selection:
        TableRefs(asked.refs, asked.split).check(selection)
        made = selection.info
        evaluation = evaluate_stored(
            **asked.common,
            refs=table,
            mask_of=selected_masks(table, selection),
            meta=asked.meta(
                method=f"{method}_choice",
                model=made.models,
                settings={**made.settings, **plain(evaluate=asked.settings)},
                made_from={"chosen": chosen},
                code=made.code,
                seed=made.settings.get("train", {}).get("seed"),
            ),
        )
    print(f"{asked.split}: oIoU {evaluation.oIoU:.2f}  mIoU {evaluation.mIoU:.2f}  -> {asked.report}")


if __name__ == "__main__":
    run(main)
