from __future__ import annotations

import copy

import pytest
import torch
from segment_anything import sam_model_registry

from ssc_core.errors import SscError
from ssc_core.segment.sam_build import CONFIGS, build_sam, load_sam, save_sam
from tests.unit.segment.conftest import TINY_SAM


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_published_sizes_have_the_packages_tensors(name):
    with torch.device("meta"):
        ours, theirs = build_sam(CONFIGS[name]), sam_model_registry[name]()
    shapes = [{key: tuple(t.shape) for key, t in sam.state_dict().items()} for sam in (ours, theirs)]
    assert shapes[0] == shapes[1]
    windows = [[block.window_size for block in sam.image_encoder.blocks] for sam in (ours, theirs)]
    assert windows[0] == windows[1]


def test_what_is_saved_is_loaded(tmp_path):
    sam = build_sam(TINY_SAM)
    save_sam(sam, TINY_SAM, tmp_path / "sam")
    loaded = load_sam(str(tmp_path / "sam"))
    assert all(torch.equal(a, b) for a, b in zip(sam.state_dict().values(), loaded.state_dict().values(), strict=True))
    assert not loaded.training


def test_a_pth_checkpoint_is_loaded_over_the_folders_weights(tmp_path):
    sam = build_sam(TINY_SAM)
    save_sam(sam, TINY_SAM, tmp_path / "sam")
    other = build_sam(TINY_SAM)
    torch.save(other.state_dict(), tmp_path / "other.pth")
    loaded = load_sam(str(tmp_path / "sam"), str(tmp_path / "other.pth"))
    assert torch.equal(loaded.mask_decoder.iou_token.weight, other.mask_decoder.iou_token.weight)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["image_size"], 60, "no multiple of patch_size"),
        (["prompt_embed_dim"], 36, "multiple of 8"),
        (["encoder", "depth"], None, "'depth'> is missing|'depth' is missing"),
    ],
)
def test_a_wrong_config_is_an_error(path, value, message):
    config = copy.deepcopy(TINY_SAM)
    *outer, last = path
    place = config
    for key in outer:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(SscError, match=message):
        build_sam(config)


def test_weights_that_are_missing_truncated_or_of_another_network_are_errors(tmp_path):
    save_sam(build_sam(TINY_SAM), TINY_SAM, tmp_path)
    with pytest.raises(SscError, match="needs `checkpoint:`"):
        load_sam("vit_b")
    with pytest.raises(SscError, match="does not exist"):
        load_sam("vit_b", str(tmp_path / "nothing.pth"))
    with pytest.raises(SscError, match="neither vit_b"):
        load_sam(str(tmp_path / "nowhere"))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(SscError, match="is the download complete"):
        load_sam(str(tmp_path))
    save_sam(build_sam({**TINY_SAM, "prompt_embed_dim": 64}), TINY_SAM, tmp_path)
    with pytest.raises(SscError, match="has shape"):
        load_sam(str(tmp_path))


def test_a_pickle_that_runs_code_is_not_loaded(tmp_path, capsys):
    import pickle

    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(SscError, match=r"evil\.pth wants to import builtins\.print"):
        load_sam("vit_b", str(tmp_path / "evil.pth"))
    assert "ran" not in capsys.readouterr().out
