"""Rule evaluate: metrics of a trained network on a split."""

from pathlib import Path

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.correct.predictor import Predictor
from ssc_core.evaluate.model import evaluate_model
from ssc_core.provenance import file_sha256
from ssc_core.refer.ref_table import open_photos, read_refs
from ssc_core.refer.truth import TruthStore
from workflow_scripts._script import plain, run_meta


def main(
    refs: Path,
    truth: Path,
    data: Path,
    checkpoint: Path,
    images: Path,
    split: str,
    method: str,
    bert: str,
    network: str,
    settings: EvaluateSettings,
    code: str,
    device: str,
    threads: int,
    report: Path,
) -> None:
    predictor = Predictor(checkpoint, bert=bert or None, network=network, device=device, threads=threads)
    evaluation = evaluate_model(
        refs=read_refs(refs),
        split=split,
        images=open_photos(refs, images).or_none,
        truth=TruthStore(truth),
        predict=predictor,
        out=report,
        settings=settings,
        meta=run_meta(
            data=data,
            inputs={"refs": refs, "truth": truth},
            method=method,
            model={"path": str(checkpoint), "sha256": file_sha256(checkpoint)},
            code=code,
            settings={**predictor.settings, **plain(evaluate=settings)},
            seed=predictor.settings.get("train", {}).get("seed"),
            training=predictor.meta,
        ),
    )
    half = evaluation.precision["0.5"]
    print(f"{split}: oIoU {evaluation.oIoU:.2f}  mIoU {evaluation.mIoU:.2f}  P@0.5 {half:.2f}  -> {report}")
