"""Training speed of Correct: our trainer, the published way of working, and the bare network, on the same data.

    python benchmarks/train.py                                 # CPU: Swin tiny at 224
    python benchmarks/train.py --swin base --side 480 --samples 60 --steps 10    # one GPU
    python benchmarks/train.py --swin micro --side 96 --samples 32 --cpu-time    # the embedded default's network

``published`` works as the published loop: float32, photo and candidate picture decoded for every ref, samples of the
same image found by comparing pixels, a loop over samples and masks with a synchronisation each, the cache emptied every
step. ``bare`` is forward and backward of the network on a batch that is ready: ``trainer / bare`` is what the trainer
adds, optimiser included. Prints JSON.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import BertConfig
from usage import usage_of

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.training import MICRO_SWIN, TrainSettings
from ssc_core.correct.batches import Batch, make_batch
from ssc_core.correct.items import Items, build_items
from ssc_core.correct.lavt.network import LAVT
from ssc_core.correct.lavt.swin import SwinArchitecture
from ssc_core.correct.losses import chosen_loss
from ssc_core.correct.plan import Sample
from ssc_core.correct.run_state import RunState
from ssc_core.correct.text import ReferringSegmenter, TextEncoder
from ssc_core.correct.trainer import Run, Trainer
from ssc_core.files import write_json
from ssc_core.refer.images import load_image
from ssc_core.refer.ref import Ref
from ssc_core.torch_runtime import pick_bf16

HEIGHT, WIDTH, REFS, CANDIDATES, TOKENS = 480, 640, 3, 3, 12
clock = time.perf_counter
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Boxes:
    """Candidates of the synthetic photos: the same three instances for all refs of an image."""

    corrupted = 0

    def __init__(self, images: int) -> None:
        rng = np.random.default_rng(0)
        self.of_image = np.zeros((images, CANDIDATES, HEIGHT, WIDTH), dtype=bool)
        for mask in self.of_image.reshape(-1, HEIGHT, WIDTH):
            top, left = rng.integers(0, HEIGHT // 2), rng.integers(0, WIDTH // 2)
            mask[top : top + rng.integers(60, 240), left : left + rng.integers(60, 320)] = True

    def masks(self, ref: Ref) -> tuple[np.ndarray, ...]:
        return (self.of_image[ref.image_id],)


def make_data(folder: Path, images: int, side: int) -> Items:
    """JPEG photos and PNG candidate pictures of RefCOCO's usual size, and the items that our trainer reads."""
    rng = np.random.default_rng(0)
    boxes = Boxes(images)
    refs = {}
    for image_id in range(images):
        small = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(folder / f"{image_id}.jpg", quality=90)
        picture = (boxes.of_image[image_id] * np.arange(1, CANDIDATES + 1)[:, None, None]).max(0) * 80
        members = []
        for number in range(REFS):
            ref_id = image_id * REFS + number
            Image.fromarray(picture.astype(np.uint8)).save(folder / f"ref{ref_id}.png")
            name = f"{image_id}.jpg"
            members.append(Ref(ref_id, 0, image_id, name, HEIGHT, WIDTH, "train", 1, "box", (0,), ("a box",)))
        refs[image_id] = members

    def tokenize(sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return rng.integers(1, 400, (len(sentences), TOKENS)), np.ones((len(sentences), TOKENS), dtype=np.int64)

    return build_items(refs.items(), boxes, tokenize, lambda name: load_image(folder / name), side=side)


def make_model(swin: str, device: torch.device) -> ReferringSegmenter:
    """LAVT on BERT base, or with ``micro`` on a BERT as small as the embedded default's."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=30522)
    if swin == "micro":
        config = BertConfig(
            vocab_size=30522, hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=256
        )
    size = SwinArchitecture(**MICRO_SWIN.model_dump(), window=6) if swin == "micro" else swin
    lavt = LAVT(size, text_dim=config.hidden_size)
    return ReferringSegmenter(lavt, TextEncoder(config)).to(device).to(memory_format=torch.channels_last)


class PausedAfterSteps(RunState):
    """Times the steps of a trainer and does something else between two of them.

    A machine that others use changes its speed by the minute, so what is compared takes turns.
    """

    def __init__(self, folder: Path, pause: Callable[[], object]) -> None:
        super().__init__(folder, {})
        self.seconds: list[float] = []
        self._pause, self._resumed = pause, clock()

    def log(self, row: Sequence[object]) -> None:
        super().log(row)
        self.seconds.append(clock() - self._resumed)
        self._pause()
        self._resumed = clock()


def trainer_and_bare_seconds(
    model: ReferringSegmenter,
    items: Items,
    batch: Batch,
    settings: TrainSettings,
    device: torch.device,
    folder: Path,
    workers: int,
) -> tuple[list[float], list[float]]:
    """Seconds of each step of our trainer, and of the network alone in turn with it, from the third on."""
    twin, bare = copy.deepcopy(model), list[float]()
    bf16 = pick_bf16(settings.precision, device, native=True)
    state = PausedAfterSteps(folder / "state", lambda: bare.append(bare_seconds(twin, batch, bf16, device)))
    run = Run(state=state, device=device, workers=workers, save_minutes=60)
    Trainer(model, items, chosen_loss(settings, CompatSettings()), settings, CompatSettings(), run).fit()
    return state.seconds[2:], bare[2:]


def some_steps(
    model: ReferringSegmenter, items: Items, settings: TrainSettings, device: torch.device, folder: Path, workers: int
) -> None:
    """A training of three steps."""
    settings = settings.model_copy(update={"epochs": 3})
    run = Run(state=RunState(folder / "profiled", {}), device=device, workers=workers, save_minutes=60)
    Trainer(model, items, chosen_loss(settings, CompatSettings()), settings, CompatSettings(), run).fit()


def bare_seconds(model: ReferringSegmenter, batch: Batch, bf16: bool, device: torch.device) -> float:
    """Seconds of forward and backward of the network alone."""
    synchronise(device)
    start = clock()
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        logits = model(batch.pixels, batch.ids, batch.attention, batch.photo_of)
    logits.backward(torch.ones_like(logits))
    synchronise(device)
    seconds = clock() - start
    model.zero_grad()
    return seconds


def published_seconds(
    model: ReferringSegmenter, items: Items, folder: Path, device: torch.device, samples: int, steps: int
) -> list[float]:
    """Seconds of a step in the published way of working."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, foreach=False)
    refs = [(image, ref) for image in items.images for ref in image.refs]
    seconds = []
    for step in range(steps):
        start = clock()
        chosen = [refs[(step * samples + i) % len(refs)] for i in range(samples)]
        photos, candidates, ids = [], [], []
        for image, ref in chosen:
            picture = Image.open(folder / image.file_name, formats=("JPEG", "PNG")).convert("RGB")
            photo = picture.resize((items.side, items.side), 2)
            photos.append((torch.from_numpy(np.array(photo)).float() / 255 - MEAN) / STD)
            levels = np.array(
                Image.open(folder / f"ref{ref.ref_id}.png", formats=("PNG",)).resize((items.side, items.side), 0)
            )
            candidates.append([torch.from_numpy(levels == v).to(device) for v in np.unique(levels) if v])
            ids.append(torch.from_numpy(ref.ids[0]))
        pixels = torch.stack(photos).permute(0, 3, 1, 2).contiguous().to(device)
        words = torch.stack(ids).to(device)
        logits = model(pixels, words, torch.ones_like(words))
        loss = greedy_one_by_one(logits, candidates, pixels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        synchronise(device)
        seconds.append(clock() - start)
    return seconds[1:]


def greedy_one_by_one(logits: torch.Tensor, candidates: list[list[torch.Tensor]], pixels: torch.Tensor) -> torch.Tensor:
    """Constrained greedy matching, sample by sample and mask by mask, each soft IoU read back at once."""
    weight = torch.tensor([0.9, 1.1], device=logits.device)
    foreground = logits.softmax(1)[:, 1]
    table = []
    for i, masks in enumerate(candidates):
        for k, mask in enumerate(masks):
            m = mask.float()
            both = (foreground[i] * m).sum()
            table.append(((both / (foreground[i].sum() + m.sum() - both)).item(), i, k))
    losses, done, taken = [], set(), list[tuple[int, int]]()
    for _, i, k in sorted(table, reverse=True):
        same_image = [other for other, _ in taken if torch.equal(pixels[i], pixels[other])]
        if i in done or any(torch.equal(candidates[i][k], candidates[o][c]) for o, c in taken if o in same_image):
            continue
        done.add(i)
        taken.append((i, k))
        losses.append(F.cross_entropy(logits[i : i + 1], candidates[i][k][None].long(), weight=weight))
    return torch.stack(losses).sum() / len(candidates)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory_per_sample(model: ReferringSegmenter, items: Items, bf16: bool, device: torch.device) -> float:
    """MiB that one more sample takes: the peak of forward and backward on a GPU, what backward needs kept on a CPU."""
    used = []
    for samples in (1, 3):
        batch = make_batch(items, [Sample(0, i % REFS, 0) for i in range(samples)]).to(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            bare_seconds(model, batch, bf16, device)
            used.append(torch.cuda.max_memory_allocated(device))
        else:
            used.append(kept_for_backward(model, batch, bf16, device))
    return (used[1] - used[0]) / 2 / 2**20


def kept_for_backward(model: ReferringSegmenter, batch: Batch, bf16: bool, device: torch.device) -> int:
    """Bytes of all distinct tensors that autograd keeps after a forward."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        logits = model(batch.pixels, batch.ids, batch.attention, batch.photo_of)
    kept[logits.data_ptr()] = logits.nbytes
    return sum(kept.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swin", default="tiny")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--samples", type=int, default=12, help="samples per step")
    parser.add_argument("--steps", type=int, default=6, help="steps measured, after two to warm up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="auto", help="of the trainer and the bare network: auto, fp32 or bf16")
    parser.add_argument("--published-samples", type=int, help="samples per step of the baseline; default: as ours")
    parser.add_argument("--cpu-time", action="store_true", help="CPU seconds, on a machine that others use too")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    args = parser.parse_args()
    if args.cpu_time:
        global clock
        clock = time.process_time
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    bf16 = pick_bf16(args.precision, device, native=True)
    per_step = max(1, args.samples // REFS)
    settings = TrainSettings(
        loss="greedy_ce", epochs=args.steps + 2, batch_samples=per_step * REFS, precision=args.precision, keep="last"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = make_data(folder, per_step, args.side)
        model = make_model(args.swin, device)
        samples = per_step * REFS
        batch = make_batch(items, [Sample(i, r, 0) for i in range(per_step) for r in range(REFS)]).to(device)
        ours, bare = trainer_and_bare_seconds(model, items, batch, settings, device, folder, workers=args.threads)
        usage = usage_of(
            lambda: some_steps(copy.deepcopy(model), items, settings, device, folder, args.threads), device
        )
        theirs_samples = args.published_samples or samples
        theirs = published_seconds(model, items, folder, device, theirs_samples, args.steps + 1)
        report = {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
            "threads": args.threads,
            "clock": clock.__name__,
            "network": f"Swin {args.swin} at {args.side}, {samples} samples per step",
            "precision": "bf16" if bf16 else "fp32",
            "trainer_samples_per_s": samples / np.median(ours),
            "published_way_samples_per_s": theirs_samples / np.median(theirs),
            "times_faster": (samples / np.median(ours)) / (theirs_samples / np.median(theirs)),
            "trainer_over_bare": np.median(np.divide(ours, bare)),
            "mib_per_sample": memory_per_sample(model, items, bf16, device),
            "usage": usage,
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    print(json.dumps({name: value for name, value in report.items() if name != "usage"}, indent=2))
    if args.json:
        write_json(args.json, report)


if __name__ == "__main__":
    main()
