"""Rule evaluate: metrics of a trained network on a split, and a picture of what it does."""

from pathlib import Path

from ssc_core.config.labelling import EvaluateSettings
from ssc_core.correct.predictor import Predictor
from ssc_core.evaluate.model import evaluate_model, sentences_path
from ssc_core.provenance import file_sha256
from ssc_core.refer.ref_table import open_photos, read_refs
from ssc_core.refer.truth import TruthStore
from ssc_core.report.examples import ExampleFiles, write_eval_picture
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
    settings: EvaluateSettings,
    code: str,
    device: str,
    threads: int,
    report: Path,
    picture: Path,
) -> None:
    predictor = Predictor(checkpoint, bert=bert or None, device=device, threads=threads)
    photos, objects = open_photos(refs, images), TruthStore(truth)
    evaluation = evaluate_model(
        refs=read_refs(refs),
        split=split,
        images=photos.or_none,
        truth=objects,
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
    write_eval_picture(
        rows=sentences_path(report),
        sources=ExampleFiles(photos.or_grey, objects),
        out=picture,
        method=method,
        where=f"{evaluation.dataset} {split}, {evaluation.world} world",
        oiou=evaluation.oIoU,
    )
    half = evaluation.precision["0.5"]
    print(f"{split}: oIoU {evaluation.oIoU:.2f}  mIoU {evaluation.mIoU:.2f}  P@0.5 {half:.2f}  -> {report}")
