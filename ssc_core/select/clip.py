"""CLIP and its kin (SigLIP, EVA, ...) through open_clip, as an ``ImageTextEncoder``.

``model`` is one of

* a folder, which holds a model of your own, such as the micro world's. Its files:

  - ``open_clip_config.json``: ``{"model_cfg": {"embed_dim", "vision_cfg": {...}, "text_cfg": {...}}, "preprocess_cfg":
    {"mean", "std", "interpolation", "resize_mode"}}`` as open_clip writes it. ``text_cfg`` of a small vocabulary needs
    ``"hf_tokenizer_name": "."`` (any non-empty text: the tokenizer is always read from this folder), ``vocab_size``,
    ``context_length``, and ``"pool_type": "eos"`` with ``eos_id``;
  - ``open_clip_model.safetensors``: ``open_clip.create_model("local-dir:FOLDER").state_dict()``;
  - ``tokenizer.json`` and ``tokenizer_config.json``: a fast tokenizer that adds start and end tokens by itself, saved
    with ``transformers.PreTrainedTokenizerFast(tokenizer_object=..., pad_token=..., unk_token=..., bos_token=...,
    eos_token=...).save_pretrained(FOLDER)``. Its padding id is ``text_cfg.pad_id`` (0).

* any open_clip name, such as ``ViT-L-14-336``, ``ViT-SO400M-14-SigLIP2-378``, ``PE-Core-L-14-336``, ``MobileCLIP2-S3``
  or ``ViT-H-14-worldwide`` (MetaCLIP 2); then ``pretrained`` is one of its tags, such as ``openai``, which open_clip
  downloads, or a local checkpoint file (safetensors, a state dict, or OpenAI's own archive).

A local file says nothing of how its photos are normalised, resized and cropped, nor of its activation. open_clip knows
it of every tag, and would take OpenAI's ways for any file; here it is what the tags of that model agree on.
"""

from __future__ import annotations

import logging
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors import SafetensorError
from torch.nn import functional
from torchvision import transforms

from ssc_core.claimed_sizes import as_large_as
from ssc_core.errors import FETCH, SscError
from ssc_core.select.clip_names import PREPROCESSING, tokenizer_of, trained_ways
from ssc_core.tensor_checks import check_weights, check_zip
from ssc_core.tensor_files import named_tensors
from ssc_core.torch_runtime import Precision, ShrinkingBatches, pick_bf16, resolve_device

PASS_BYTES = 2**29
"""Memory that the activations of a forward pass may take on a CPU, about: more images per pass are no faster there."""


LONG = 32
"""A picture that is more than so many times as long as wide is cut before it is resized."""


class OpenClip:
    """An open_clip model behind the ``ImageTextEncoder`` contract, and behind ``StagedEncoder`` of ``scoring``.

    ``batch_size``: images or sentences a forward pass, fewer when memory runs out; on a CPU fewer images, where they
    would need more than ``PASS_BYTES``. ``precision``: of the image tower; ``auto`` is bf16 autocast on
    a GPU and fp32 elsewhere. The text tower always runs in fp32: it is cheap, and class projection compares near ties.
    ``quick_gelu``: the activation of OpenAI's models; null takes what the tag was trained with, which open_clip by
    itself does not do for names such as ``ViT-B-32``. ``tag``: which of open_clip's tags a local file is, where they
    were trained in different ways. ``tokenizer``: a local folder with the tokenizer of a model that has another than
    CLIP's, such as SigLIP 2 or MetaCLIP 2. ``threads``: workers that resize images.

    Raises SscError when the model, the tag or the file does not exist or does not fit.
    """

    def __init__(
        self,
        model: str,
        pretrained: str | None = None,
        *,
        quick_gelu: bool | None = None,
        tag: str | None = None,
        tokenizer: str | None = None,
        batch_size: int = 64,
        precision: Precision = "auto",
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        self.device = resolve_device(device)
        self.threads = threads
        self.bf16 = pick_bf16(precision, self.device)
        self.model, self.tokenizer = load_model(model, pretrained, quick_gelu, tag=tag, tokenizer=tokenizer)
        self.model.to(self.device).eval().requires_grad_(False)
        config = PreprocessCfg(**self.model.visual.preprocess_cfg)
        self._fit = _geometry(config)
        self.input_size, self.interpolation = _pair(self.model.visual.image_size), config.interpolation
        most = batch_size
        if self.device.type == "cpu":
            most = min(batch_size, max(1, PASS_BYTES // bytes_an_image(self.model.visual)))
        self._images = ShrinkingBatches(most, "CLIP, images")
        self._texts = ShrinkingBatches(batch_size, "CLIP, sentences")
        self._mean = torch.tensor(config.mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(config.std, device=self.device).view(1, 3, 1, 1)

    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """RGB uint8 (H, W, 3) images of any sizes to float32 (N, D), unit norm."""
        with ThreadPoolExecutor(self.threads) as pool:
            return self.encode_prepared(list(pool.map(self.prepare_image, images)))

    def prepare_image(self, image: np.ndarray) -> np.ndarray:
        """Resize and crop as the model was trained (CLIP: bicubic, short side, centre crop): uint8 (side, side, 3).

        Thread-safe, so that workers can run ahead of the model.
        """
        return np.asarray(self._fit(Image.fromarray(image)))

    @torch.inference_mode()
    def encode_prepared(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """Images from ``prepare_image`` to float32 (N, D), unit norm."""
        return self._unit_norm(self._images(prepared, self._image_features))

    def _image_features(self, prepared: Sequence[np.ndarray]) -> Sequence[torch.Tensor]:
        pixels = self.normalised(prepared)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model.encode_image(pixels).unbind()

    def normalised(self, prepared: Sequence[np.ndarray]) -> torch.Tensor:
        """Images uint8 (h, w, 3), all of one size, as the image tower takes them: float32 (N, 3, h, w)."""
        pixels = torch.from_numpy(np.stack(prepared)).to(self.device).permute(0, 3, 1, 2).float().div_(255)
        return pixels.sub_(self._mean).div_(self._std)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Sentences to float32 (N, D), unit norm. What exceeds the model's context length is cut off."""
        return self._unit_norm(self._texts(texts, self._text_features))

    def _text_features(self, texts: Sequence[str]) -> Sequence[torch.Tensor]:
        return self.model.encode_text(self.tokenizer(list(texts)).to(self.device)).unbind()

    def _unit_norm(self, features: list[torch.Tensor]) -> np.ndarray:
        if not features:
            return np.zeros((0, self._width()), np.float32)
        return functional.normalize(torch.stack(features).float(), dim=-1).cpu().numpy()

    def _width(self) -> int:
        return self.model.encode_text(self.tokenizer([""]).to(self.device)).shape[-1]


def load_model(
    model: str,
    pretrained: str | None,
    quick_gelu: bool | None,
    *,
    tag: str | None = None,
    tokenizer: str | None = None,
) -> tuple[Any, Callable[..., Any]]:
    """The network on the CPU, with weights, and its tokenizer (texts -> int64 (N, context length))."""
    if Path(model).is_dir():
        if own := [key for key, value in (("pretrained", pretrained), ("tag", tag), ("tokenizer", tokenizer)) if value]:
            raise SscError(
                f"open_clip: {model} is a folder with its own weights and tokenizer; leave `{own[0]}` out, or set it "
                "to null where another config file has it"
            )
        check_weights(model)
        name = f"local-dir:{model}"
        with as_large_as(Path(model)):
            network = _create(name, quick_gelu=bool(quick_gelu), require_pretrained=True)
        named_tensors(model, network.state_dict())
        return network, _tokenizer(name)
    if open_clip.get_model_config(model) is None:
        raise SscError(
            f"open_clip: '{model}' is neither a folder nor a model that open_clip knows; see open_clip.list_models()"
        )
    if pretrained is None or Path(pretrained).is_file():
        words = tokenizer_of(model, tokenizer, download=False)
        ways = trained_ways(model, tag)
        if pretrained is not None:
            return _load_file(model, Path(pretrained), quick_gelu, ways), words
        warnings.warn(
            f"open_clip: {model} without `pretrained` has random weights: its scores mean nothing", stacklevel=2
        )
        return _create(model, quick_gelu=bool(quick_gelu), force_preprocess_cfg=_preprocessing(ways)), words
    known = open_clip.get_pretrained_cfg(model, pretrained)
    if not known:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise SscError(
            f"open_clip: {model} has no weights '{pretrained}', and there is no such file ({FETCH}); its tags: {tags}"
        )
    if quick_gelu is None:
        quick_gelu = bool(known.get("quick_gelu", False))
    words = tokenizer_of(model, tokenizer, download=True)
    return _create(model, pretrained=pretrained, quick_gelu=quick_gelu), words


def _preprocessing(ways: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in ways.items() if key in PREPROCESSING}


def bytes_an_image(tower: torch.nn.Module) -> int:
    """What the activations of an image take at most while it goes through an image tower, about.

    The largest output of a layer, four times: it is alive with its input and with what an activation function makes of
    it. Found without computing: tensors on the device "meta" have shapes only.
    """
    largest = 0

    def note(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal largest
        if isinstance(output, torch.Tensor):
            largest = max(largest, output.numel() * output.element_size())

    shapes = {name: value.to("meta") for name, value in [*tower.named_parameters(), *tower.named_buffers()]}
    height, width = _pair(tower.image_size)
    hooks = [module.register_forward_hook(note) for module in tower.modules()]
    try:
        torch.func.functional_call(tower, shapes, torch.zeros(1, 3, height, width, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return 4 * largest


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _create(name: str, *, quick_gelu: bool, **options: Any) -> Any:
    try:
        return open_clip.create_model(name, force_quick_gelu=quick_gelu, **options)
    except pickle.UnpicklingError as error:
        raise SscError(f"open_clip: {name} holds more than weights, or is damaged; refused") from error
    except (RuntimeError, ValueError, KeyError, OSError, SafetensorError) as error:
        raise SscError(f"open_clip cannot make '{name}': {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    """The first lines of a message: of weights that do not fit, PyTorch lists every one."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]} ..."


@contextmanager
def _expected_warnings() -> Iterator[None]:
    """Weights follow: open_clip need not warn of a network without, nor PyTorch that it may once not read archives."""

    def unexpected(record: logging.LogRecord) -> bool:
        return "initialized randomly" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(unexpected)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*torch\.jit\.load")
            yield
    finally:
        root.removeFilter(unexpected)


def _tokenizer(name: str) -> Callable[..., Any]:
    try:
        return open_clip.get_tokenizer(name)
    except (ValueError, OSError) as error:  # of SigLIP and others it comes from a hub, or from the model's own folder
        raise SscError(f"open_clip has no tokenizer for '{name}': {error}") from error


def _load_file(model: str, path: Path, quick_gelu: bool | None, ways: Mapping[str, Any]) -> Any:
    """A network with the weights of a file, which are never in memory twice; ways: how it was trained."""
    archive = _is_torchscript(path)
    check_zip(path, script=True) if archive else check_weights(path)
    if quick_gelu is None:
        # OpenAI is who publishes CLIP as TorchScript, always with this activation
        quick_gelu = bool(ways.get("quick_gelu", archive))
    with _expected_warnings():
        network = _create(model, quick_gelu=quick_gelu, force_preprocess_cfg=_preprocessing(ways))
        _drop_values(network)
        network.load_state_dict = partial(network.load_state_dict, assign=True)  # open_clip calls it, too
        try:
            if archive:
                network.load_state_dict(_archived_tensors(path))
            else:
                open_clip.load_checkpoint(network, str(path))
        except pickle.UnpicklingError as error:
            raise SscError(f"open_clip: {path} holds more than weights, or is damaged; refused") from error
        except (RuntimeError, ValueError, KeyError, AttributeError, OSError, SafetensorError) as error:
            raise SscError(f"open_clip: {path} does not hold the weights of {model}: {_one_line(error)}") from error
        finally:
            del network.load_state_dict
    named_tensors(path, network.state_dict())
    return network.float()


def _drop_values(network: torch.nn.Module) -> None:
    """Parameters without memory, until weights are loaded in their place."""
    for module in network.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            setattr(module, name, torch.nn.Parameter(torch.empty_like(value, device="meta"), requires_grad=False))


def _archived_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of OpenAI's archive that are weights."""
    sizes = ("input_resolution", "context_length", "vocab_size")
    state = torch.jit.load(str(path), map_location="cpu").state_dict()
    return {name: value for name, value in state.items() if name not in sizes}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _geometry(config: PreprocessCfg) -> Callable[[Image.Image], Image.Image]:
    """open_clip's own evaluation transform up to, and without, the conversion to a normalised tensor."""
    steps = image_transform_v2(config, is_train=False).transforms
    pixel_steps = (transforms.ToTensor, transforms.Normalize)
    cut = [_cut_long] if config.resize_mode == "shortest" else []
    return transforms.Compose([*cut, *(step for step in steps if not isinstance(step, pixel_steps))])


def _cut_long(image: Image.Image) -> Image.Image:
    """The middle of a picture of which the middle alone will be seen, where it is ``LONG`` times as long as wide.

    Its short side is made the model's, and all of it is made as many times larger before its ends are cut off: a crop
    of a pole of 1 x 2400 pixels would be gigabytes.
    """
    width, height = image.size
    most = LONG * min(width, height)
    across, down = max(0, width - most) // 2, max(0, height - most) // 2
    return image.crop((across, down, width - across, height - down)) if across or down else image
