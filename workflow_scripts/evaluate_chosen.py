"""Rule evaluate_chosen: metrics of a network's choice among the candidates, measured as a network is."""

from pathlib import Path

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.evaluate.model import evaluate_stored
from ssc_core.evaluate.pairs import selected_masks
from ssc_core.masks.selection import SelectionStore
from ssc_core.refer.ref_table import read_refs
from ssc_core.refer.truth import TruthStore
from workflow_scripts._script import plain, run_meta


def main(
    refs: Path,
    truth: Path,
    data: Path,
    chosen: Path,
    split: str,
    method: str,
    settings: EvaluateSettings,
    code: str,
    report: Path,
) -> None:
    """method: of the network that chose."""
    table = read_refs(refs)
    with SelectionStore(chosen) as selection:
        made = selection.info
        evaluation = evaluate_stored(
            refs=table,
            split=split,
            truth=TruthStore(truth),
            mask_of=selected_masks(table, selection),
            out=report,
            settings=settings,
            meta=run_meta(
                data=data,
                inputs={"refs": refs, "truth": truth, "chosen": chosen},
                method=f"{method}_choice",
                model=made.models,
                code=f"{code} {made.code}",
                settings={**made.settings, **plain(evaluate=settings)},
                seed=made.settings.get("train", {}).get("seed"),
            ),
        )
    print(f"{split}: oIoU {evaluation.oIoU:.2f}  mIoU {evaluation.mIoU:.2f}  -> {report}")
