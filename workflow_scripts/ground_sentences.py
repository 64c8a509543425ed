"""Rule ground_sentences: a mask for every sentence, the best that the models of Segment find for the whole sentence."""

from pathlib import Path

from ssc_core.config.labelling import CandidateSettings
from ssc_core.evaluate.grounded import ground_sentences
from ssc_core.refer.ref_table import open_photos, read_refs
from ssc_core.registry import model_digests
from ssc_core.segment.models import CandidateModels
from workflow_scripts._script import plain, run


def main(
    refs: Path,
    images: Path,
    split: str,
    settings: CandidateSettings,
    code: str,
    device: str,
    threads: int,
    out: Path,
) -> None:
    backends = {"detect": settings.detect.backend, "segment": settings.segment.backend}
    models = [model_digests(backend.settings, name) for name, backend in backends.items() if backend]
    ground_sentences(
        refs=read_refs(refs, split),
        images=open_photos(refs, images).or_none,
        ground=CandidateModels(settings, device=device, threads=threads).best,
        out=out,
        provenance={
            "settings": plain(detect=settings.detect, segment=settings.segment),
            "models": {name: digest for found in models for name, digest in found.items()},
            "code": code,
        },
    )


if __name__ == "__main__":
    run(main)
