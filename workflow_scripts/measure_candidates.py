"""Print the mean IoU of the best candidates on annotated photos (COCO layout), asked for the annotated classes."""

from pathlib import Path

from ssc_core.config.labelling import DetectSettings, SegmentSettings
from ssc_core.segment.measure import SIZES, measure_candidates
from workflow_scripts._script import run


def main(
    annotations: Path,
    images: Path,
    detect: DetectSettings,
    segment: SegmentSettings,
    device: str = "auto",
    threads: int = 1,
) -> None:
    found = measure_candidates(
        annotations=annotations, images=images, detect=detect, segment=segment, device=device, threads=threads
    )
    print("best candidate, objects, mean IoU, share with IoU of 0.5 or more")
    for name, (low, high) in {"all": (0, float("inf")), **SIZES}.items():
        ious = found.of_size(low, high)
        if len(ious):
            print(f"{name:<8}{len(ious):>6}{100 * ious.mean():>8.1f} %{100 * (ious >= 0.5).mean():>8.1f} %")


if __name__ == "__main__":
    run(main)
