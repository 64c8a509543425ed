"""Rule ground_sentences: a mask for every sentence, from the detector's best box for the whole sentence."""

from pathlib import Path

from ssc_core.backends import Detector, Segmenter, load_backend
from ssc_core.config.base import Section
from ssc_core.config.labelling import DetectSettings, SegmentSettings
from ssc_core.evaluate.grounded import ground_sentences
from ssc_core.refer.ref_table import open_photos, read_refs
from ssc_core.registry import model_digests
from workflow_scripts._script import plain


class Models(Section):
    """The sections of the config that name the two models."""

    detect: DetectSettings
    segment: SegmentSettings


def main(
    refs: Path,
    images: Path,
    split: str,
    settings: Models,
    code: str,
    device: str,
    threads: int,
    out: Path,
) -> None:
    backends = {"detect": (settings.detect.backend, Detector), "segment": (settings.segment.backend, Segmenter)}
    detector, segmenter = (
        load_backend(backend.name, backend.settings, protocol, device=device, threads=threads)
        for backend, protocol in backends.values()
    )
    models = [model_digests(backend.settings, name) for name, (backend, _) in backends.items()]
    ground_sentences(
        refs=read_refs(refs, split),
        images=open_photos(refs, images).or_none,
        detector=detector,
        segmenter=segmenter,
        out=out,
        provenance={
            "settings": plain(detect=settings.detect, segment=settings.segment),
            "models": {name: digest for found in models for name, digest in found.items()},
            "code": code,
        },
    )
