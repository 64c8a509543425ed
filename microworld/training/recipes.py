"""From nothing to the committed small models: data, then each model with its card."""

from __future__ import annotations

from pathlib import Path

from microworld.training import measure
from microworld.training.bert import train_bert
from microworld.training.clip import train_clip
from microworld.training.corpus import make_corpus, read_corpus
from microworld.training.detector import train_detector
from microworld.training.grounding import measure_on_nouns, save_lavt, train_on_nouns
from microworld.training.loop import write_card
from microworld.training.peers import WEIGHT as PEERS_WEIGHT
from microworld.training.pool import Pool, make_pool, open_pool
from microworld.training.sam import train_sam
from microworld.training.swin import SwinFeatures, measure_on_close_ups, train_on_close_ups
from microworld.training.swin_scenes import measure_on_scenes, train_on_scenes
from microworld.training.vocabulary import build_vocabulary, load_vocabulary, save_vocabulary
from ssc_core.config.training import NetworkSettings
from ssc_core.config.world import WorldSettings

SWIN, SWIN_AMONG_PEERS = "swin.safetensors", "swin_among_peers.safetensors"
"""In the build folder: steps towards the LAVT that is committed."""

UNSEEN_SCENES = 300
TEXT_SCENES = 4000
HELD_OUT_TEXTS = 2000

_SCENES = (
    "{count} scenes of the domain `pretrain/train` of the generated world, which no split of any dataset contains. "
    "Labels: {labels}. No sentence that refers to an object was used with a picture."
)


def make_data(build: Path, *, scenes: int, settings: WorldSettings, workers: int) -> None:
    """Draw the pools and write the corpus and the vocabulary into ``build``."""
    make_pool(build / "pool-train", domain="pretrain/train", count=scenes, settings=settings, workers=workers)
    make_pool(build / "pool-val", domain="pretrain/val", count=UNSEEN_SCENES, settings=settings, workers=workers)
    make_corpus(build / "corpus.txt", domain="pretrain/text", scenes=TEXT_SCENES, settings=settings, workers=workers)
    save_vocabulary(build_vocabulary(read_corpus(build / "corpus.txt")), build / "vocab.txt")


def make_detector(build: Path, out: Path, *, cycles: list[int]) -> None:
    """Train the GroundingDINO."""
    train_detector(open_pool(build / "pool-train"), load_vocabulary(build / "vocab.txt"), out, cycles=cycles)


def card_detector(
    build: Path, out: Path, *, box_threshold: float, text_threshold: float, nms_iou: float | None, threads: int
) -> None:
    """Measure the GroundingDINO and write its card."""
    train, unseen = _pools(build)
    thresholds = {"box_threshold": box_threshold, "text_threshold": text_threshold}
    write_card(
        out,
        title="GroundingDINO of the micro world",
        what="transformers' `GroundingDinoForObjectDetection`, 64 channels, trained from random weights with its own "
        "loss on captions that name classes, some of them absent.",
        data=_SCENES.format(count=len(train), labels="boxes and classes"),
        figures={
            **{f"at {name}": value for name, value in thresholds.items()},
            "after NMS above IoU": "none" if nms_iou is None else nms_iou,
            **measure.measure_detector(out, unseen, **thresholds, nms_iou=nms_iou, threads=threads),
        },
    )


def make_sam(build: Path, out: Path, *, steps: int) -> None:
    """Train the SAM."""
    train_sam(open_pool(build / "pool-train"), out, steps=steps)


def card_sam(build: Path, out: Path, *, threads: int) -> None:
    """Measure the SAM and write its card."""
    train, unseen = _pools(build)
    write_card(
        out,
        title="SAM of the micro world",
        what="The `segment_anything` package's `Sam` with a small ViT, trained from random weights on box prompts.",
        data=_SCENES.format(count=len(train), labels="masks, without classes"),
        figures=measure.measure_sam(out, unseen, threads=threads),
    )


def make_clip(build: Path, out: Path, *, cycles: list[int]) -> None:
    """Train the CLIP."""
    train_clip(open_pool(build / "pool-train"), load_vocabulary(build / "vocab.txt"), out, cycles=cycles)


def card_clip(build: Path, out: Path, *, blur_sigma: float, threads: int) -> None:
    """Measure the CLIP and write its card."""
    train, unseen = _pools(build)
    write_card(
        out,
        title="CLIP of the micro world",
        what="An open_clip model, a small ResNet and a two-layer text tower, trained from random weights.",
        data=_SCENES.format(
            count=len(train),
            labels="captions of single objects, their class, colour and look and never their place, with close-ups and "
            "with scenes in which all but the object is out of focus",
        ),
        figures={
            "at blur_sigma": blur_sigma,
            **measure.measure_clip(out, unseen, blur_sigma=blur_sigma, threads=threads),
        },
    )


def make_lavt_parts(build: Path, out: Path, *, bert_steps: int, close_up_steps: int, scene_steps: int) -> None:
    """Pre-train BERT and Swin, measure both with the heads that are then thrown away, and write their card."""
    train, unseen = _pools(build)
    texts = read_corpus(build / "corpus.txt")
    vocabulary = load_vocabulary(build / "vocab.txt")
    accuracy = train_bert(
        texts[:-HELD_OUT_TEXTS], vocabulary, out / "bert", steps=bert_steps, held_out=texts[-HELD_OUT_TEXTS:]
    )
    classifier = train_on_close_ups(train, steps=close_up_steps)
    of_close_ups = measure_on_close_ups(classifier, unseen)
    reader = train_on_scenes(classifier.features, train, steps=scene_steps)
    reader.features.save(build / SWIN)
    write_card(
        out,
        title="Pre-trained parts of the micro world's LAVT",
        what="A Swin pre-trained as a classifier of close-ups, as the big one was on ImageNet, then on whole scenes as "
        "a one-stage detector; and a BERT pre-trained by masked language modelling, as the big one was on books. "
        "Nothing here has seen a sentence with its object. The Swin is a step towards `lavt_start`, which holds it.",
        data=_SCENES.format(
            count=len(train),
            labels="class and colour of the thing in a close-up; class, colour and box of the object at each place",
        )
        + f"\n\nBERT: {len(texts) - HELD_OUT_TEXTS} texts of {TEXT_SCENES} further scenes, without their pictures.",
        figures={
            **of_close_ups,
            **measure_on_scenes(reader, unseen),
            "BERT, top-1 of masked words": accuracy,
        },
    )


def make_lavt_start(
    build: Path, out: Path, *, parts: str, peer_steps: int, steps: int, network: dict[str, object]
) -> None:
    """Teach the Swin that ``make_lavt_parts`` made with ``parts`` as ``out`` to see things among their peers, then join
    it and BERT to a LAVT that knows nouns.

    network: the config's; the weights that it names are not read.
    """
    train, unseen = _pools(build)
    features = SwinFeatures.load(build / SWIN)
    train_on_scenes(features, train, steps=peer_steps, peers=PEERS_WEIGHT).features.save(build / SWIN_AMONG_PEERS)
    weights = {"bert": f"{parts}/bert", "swin_weights": str(build / SWIN_AMONG_PEERS)}
    settings = NetworkSettings.model_validate({**network, **weights})
    model = train_on_nouns(train, settings, steps=steps)
    save_lavt(model.segmenter, out / "model.safetensors")
    write_card(
        out,
        title="What the micro world's LAVT starts from",
        what="The pre-trained Swin and BERT, which had never met, in a LAVT that was trained to find what a noun "
        "means: every dog for `dog`. So fusion and decoder start from something. **It learned from true masks**, the "
        "drawings' own, as networks for photos start from ImageNet and from a segmentation data set: of scenes that no "
        "split contains, and of all that a noun fits, not of the object of a sentence. Its captions are a noun and "
        "never a colour, a pattern, a size or a place: what tells objects of one class apart is left to Correct. "
        "Before, the Swin alone had learned, without words, to see a thing among its peers: how far to the left, up, "
        "near and large it is among those of its class, and how many they are. It went on with that meanwhile, or "
        "nouns would have made it forget where things are. BERT stayed as it was.",
        data=_SCENES.format(
            count=len(train),
            labels="the pixels of all objects that a noun fits; class, colour and box of the object at each place, and "
            "its ranks among those of its class by centre, lower edge and area",
        ),
        figures=measure_on_nouns(model, settings, unseen),
    )


def _pools(build: Path) -> tuple[Pool, Pool]:
    return open_pool(build / "pool-train"), open_pool(build / "pool-val")
