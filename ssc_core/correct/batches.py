"""From a plan to tensors: what goes through the network in one pass, in the plan's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ssc_core.correct.items import Items
from ssc_core.correct.matching import Candidates
from ssc_core.correct.pixels import normalised
from ssc_core.correct.plan import Plan, Sample
from ssc_core.correct.termination import outlive_sigterm
from ssc_core.errors import SscError


@dataclass(frozen=True, slots=True)
class Batch:
    """B samples of I images.

    photos: uint8 (I, H, W, 3); photo_of: int64 (B,); ids, attention: int64 (B, T); masks: bool (M, H, W), all instances
    of the images; rows: B arrays int64 (K_i,), the candidates among them; prior: what Select makes of these, B arrays
    float64 (K_i,), or none; image_ids, ref_ids: int64 (B,), NumPy.
    """

    photos: Tensor
    photo_of: Tensor
    ids: Tensor
    attention: Tensor
    masks: Tensor
    rows: tuple[np.ndarray, ...]
    prior: tuple[np.ndarray, ...]
    image_ids: np.ndarray
    ref_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ref_ids)

    def to(self, device: torch.device) -> Batch:
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Called by DataLoader, so that copies to the GPU overlap with its work."""
        return self._map(Tensor.pin_memory)

    @property
    def pixels(self) -> Tensor:
        """float32 (I, 3, H, W), ImageNet-normalised, channels-last in memory."""
        return normalised(self.photos)

    @property
    def candidates(self) -> Candidates:
        return Candidates(self.masks, self.rows, self.prior)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        names = ("photos", "photo_of", "ids", "attention", "masks")
        changed: dict[str, Any] = {name: change(getattr(self, name)) for name in names}
        return replace(self, **changed)


def make_batch(items: Items, samples: Sequence[Sample]) -> Batch:
    """Read the photos and masks of some samples. Padding that all sentences share is cut off."""
    turned = {sample.image: sample.mirrored for sample in samples}
    images = list(turned)
    arrays = [_mirrored(*items.arrays(image)) if turned[image] else items.arrays(image) for image in images]
    photo_of = {image: index for index, image in enumerate(images)}
    first_mask = dict(zip(images, np.cumsum([0, *(len(masks) for _, masks in arrays)]), strict=False))
    refs = [items.images[sample.image].refs[sample.ref] for sample in samples]
    tokens = [ref.tokens_of(s.sentence, mirrored=s.mirrored) for ref, s in zip(refs, samples, strict=True)]
    ids, attention = (np.stack(part) for part in zip(*tokens, strict=True))
    longest = int(attention.sum(1).max())
    return Batch(
        photos=torch.from_numpy(np.stack([photo for photo, _ in arrays])),
        photo_of=torch.tensor([photo_of[sample.image] for sample in samples]),
        ids=torch.from_numpy(ids[:, :longest]),
        attention=torch.from_numpy(attention[:, :longest]),
        masks=torch.from_numpy(np.concatenate([masks for _, masks in arrays])),
        rows=tuple(first_mask[s.image] + ref.rows_of(s.sentence) for ref, s in zip(refs, samples, strict=True)),
        prior=tuple(ref.prior_of(s.sentence) for ref, s in zip(refs, samples, strict=True) if ref.prior),
        image_ids=np.array([items.images[sample.image].image_id for sample in samples]),
        ref_ids=np.array([ref.ref_id for ref in refs]),
    )


def _mirrored(photo: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return photo[:, ::-1], masks[:, :, ::-1]


class Pass(NamedTuple):
    """What goes through the network at once: images of one epoch."""

    epoch: int
    images: np.ndarray


def load_batches(
    items: Items, plan: Plan, passes: Sequence[Pass], *, workers: int = 1, pin: bool = False
) -> Iterator[Batch]:
    """The batches of all passes in order. What does not fit in memory is decoded ahead by ``workers`` processes."""
    batches = _Batches(items, plan, passes)
    if items.fits_in_memory:
        return map(_or_raise, (batches[index] for index in range(len(batches))))
    loader = DataLoader(batches, batch_size=None, num_workers=workers, pin_memory=pin, worker_init_fn=outlive_sigterm)
    # Its iterator is made here and not at the first batch: it draws a number from torch's generator, which a training
    # has seeded for its step by then.
    return map(_or_raise, iter(loader))


def _or_raise(batch: Batch | Exception) -> Batch:
    if isinstance(batch, Exception):
        raise batch
    return batch


class _Batches(Dataset["Batch | Exception"]):
    """What hinders a batch, such as a photo that cannot be read, is given in its place: DataLoader would raise it with
    the traceback of its worker as message."""

    def __init__(self, items: Items, plan: Plan, passes: Sequence[Pass]) -> None:
        self._items, self._plan, self._passes = items, plan, passes

    def __len__(self) -> int:
        return len(self._passes)

    def __getitem__(self, index: int) -> Batch | Exception:
        try:
            return make_batch(self._items, self._plan.samples(self._items, *self._passes[index]))
        except (SscError, OSError) as error:
            return error
