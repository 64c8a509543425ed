"""Rule evaluate_grounded: metrics of the masks of ground_sentences."""

from pathlib import Path

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.evaluate.grounded import read_grounded
from ssc_core.evaluate.model import evaluate_stored
from ssc_core.refer.ref_table import read_refs
from ssc_core.refer.truth import TruthStore
from workflow_scripts._script import plain, run_meta


def main(
    refs: Path,
    truth: Path,
    data: Path,
    grounded: Path,
    split: str,
    settings: EvaluateSettings,
    code: str,
    report: Path,
) -> None:
    mask_of, made = read_grounded(grounded)
    evaluation = evaluate_stored(
        refs=read_refs(refs),
        split=split,
        truth=TruthStore(truth),
        mask_of=mask_of,
        out=report,
        settings=settings,
        meta=run_meta(
            data=data,
            inputs={"refs": refs, "truth": truth, "grounded": grounded},
            method="grounded_sentence",
            model=made["models"],
            code=f"{code} {made['code']}",
            settings={**made["settings"], **plain(evaluate=settings)},
        ),
    )
    print(f"{split}: oIoU {evaluation.oIoU:.2f}  mIoU {evaluation.mIoU:.2f}  -> {report}")
