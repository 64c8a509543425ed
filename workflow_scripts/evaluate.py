"""Rule evaluate: metrics of a trained network on a split."""

from pathlib import Path

from ssc_core.correct.both_ways import seen_both_ways
from ssc_core.correct.predictor import Predictor
from ssc_core.evaluate.model import evaluate_model
from ssc_core.provenance import file_sha256
from ssc_core.refer.ref_table import open_photos, read_refs
from workflow_scripts._evaluation import Evaluation
from workflow_scripts._script import plain, run


def main(
    asked: Evaluation,
    images: Path,
    checkpoint: Path,
    method: str,
    bert: str,
    network: str,
    device: str,
    threads: int,
) -> None:
    predictor = Predictor(checkpoint, bert=bert or None, network=network, device=device, threads=threads)
    evaluation = evaluate_model(
        **asked.common,
        refs=read_refs(asked.refs),
        images=open_photos(asked.refs, images).or_none,
        predict=seen_both_ways(predictor) if asked.settings.both_ways else predictor,
        meta=asked.meta(
            method=method,
            model={"path": str(checkpoint), "sha256": file_sha256(checkpoint)},
            settings={**predictor.settings, **plain(evaluate=asked.settings)},
            seed=predictor.settings.get("train", {}).get("seed"),
            training=predictor.meta,
        ),
    )
    half, found = evaluation.precision["0.5"], f"oIoU {evaluation.oIoU:.2f}  mIoU {evaluation.mIoU:.2f}"
    print(f"{asked.split}: {found}  P@0.5 {half:.2f}  -> {asked.report}")


if __name__ == "__main__":
    run(main)
