"""Rule evaluate_grounded: metrics of the masks of ground_sentences."""

from pathlib import Path

from ssc_core.evaluate.grounded import read_grounded
from ssc_core.evaluate.model import evaluate_stored
from ssc_core.refer.ref_table import read_refs
from workflow_scripts._evaluation import Evaluation
from workflow_scripts._script import plain, run


def main(asked: Evaluation, grounded: Path) -> None:
    mask_of, made = read_grounded(grounded)
    evaluation = evaluate_stored(
        **asked.common,
        refs=read_refs(asked.refs),
        mask_of=mask_of,
        meta=asked.meta(
            method="grounded_sentence",
            model=made["models"],
            settings={**made["settings"], **plain(evaluate=asked.settings)},
            made_from={"grounded": grounded},
            code=made["code"],
        ),
    )
    print(f"{asked.split}: oIoU {evaluation.oIoU:.2f}  mIoU {evaluation.mIoU:.2f}  -> {asked.report}")


if __name__ == "__main__":
    run(main)
