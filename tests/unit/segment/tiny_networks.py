"""Folders of tiny networks of transformers' official classes with random weights, tokenizer and processor included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WORDS = ("a", "photo", "of", "the", "dog", "cat", "person", "red", "hot", "umbrella", "left", "big", "kite", "blue")


def save_clip_tokenizer(folder: Path, length: int) -> int:
    """A tokenizer of words, with CLIP's ends and padding by the end; returns the size of its vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["!", "<unk>", *WORDS, "<|startoftext|>", "<|endoftext|>"]  # the end has the largest id, as in CLIP
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    start, end = names[-2:]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, len(names) - 2), (end, len(names) - 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=end,
        unk_token="<unk>",
        bos_token=start,
        eos_token=end,
        model_max_length=length,
    ).save_pretrained(folder)
    return len(names)


def made(kind: Any, config: Any, scale: float = 0.1) -> Any:
    """A network with random weights, the same every time, and not symmetric: many are zeros or ones at first."""
    torch.manual_seed(0)
    network = kind(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return network


def ends_of(vocabulary: int) -> dict[str, int]:
    return {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1}


def sam3_sizes() -> dict[str, Any]:
    """What SAM 3 and its siblings share: an image of 112 pixels, 8 x 8 patches."""
    vit = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 112,
        "patch_size": 14,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    }
    part = {"hidden_size": 32, "num_attention_heads": 2}
    layers = {**part, "num_layers": 1, "intermediate_size": 32}
    return {
        "vision_config": {
            "model_type": "sam3_vision_model",
            "backbone_config": vit,
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        "geometry_encoder_config": layers,
        "detr_encoder_config": layers,
        "detr_decoder_config": {**layers, "num_queries": 12},
        "mask_decoder_config": part,
    }


def save_sam3(folder: Path, *, lite: bool = False) -> Path:
    from transformers import Sam3Config, Sam3ImageProcessor, Sam3LiteTextConfig, Sam3LiteTextModel, Sam3Model

    vocabulary = save_clip_tokenizer(folder, 32)
    text = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 32,
        "projection_dim": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
    }
    if lite:
        config: Any = Sam3LiteTextConfig(text_config=text, **sam3_sizes())
    else:
        config = Sam3Config(
            text_config={"model_type": "clip_text_model", **text, **ends_of(vocabulary)}, **sam3_sizes()
        )
    made(Sam3LiteTextModel if lite else Sam3Model, config).save_pretrained(folder)
    Sam3ImageProcessor(size={"height": 112, "width": 112}).save_pretrained(folder)
    return folder


def save_owlv2(folder: Path) -> Path:
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor

    vocabulary = save_clip_tokenizer(folder, 16)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Owlv2Config(
        text_config={**sizes, "vocab_size": vocabulary, "max_position_embeddings": 16, **ends_of(vocabulary)},
        vision_config={**sizes, "image_size": 96, "patch_size": 16},
        projection_dim=32,
    )
    made(Owlv2ForObjectDetection, config).save_pretrained(folder)
    Owlv2ImageProcessor(size={"height": 96, "width": 96}).save_pretrained(folder)
    return folder


def save_bert(folder: Path) -> Path:
    """A BERT tokenizer of few words, and the sizes of a small BERT."""
    import json

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, PreTrainedTokenizerFast

    fixed = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1010: ",", 1012: ".", 1029: "?"}
    words = ("person", "dog", "cat", "hot", "object", "umbrella", "##s", "all", "traffic", "light")
    names = {i: f"[unused{i}]" for i in range(1040)} | fixed | {200 + i: word for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in names.items()}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 101), ("[SEP]", 102)]
    )
    tokenizer.decoder = decoders.WordPiece()
    tokens = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(folder)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    config = BertConfig(**sizes, vocab_size=1040, max_position_embeddings=256)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


def save_grounding_dino(folder: Path, bert: Path) -> Path:
    """bert: folder of a BERT's tokenizer and config.json."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    config = GroundingDinoConfig(**_grounding_dino_sizes(bert))
    return _save_detector(made(GroundingDinoForObjectDetection, config, 0.05), folder, bert)


def save_mm_grounding_dino(folder: Path, bert: Path) -> Path:
    """bert: folder of a BERT's tokenizer and config.json."""
    from transformers import MMGroundingDinoConfig, MMGroundingDinoForObjectDetection

    own = {"decoder_bbox_embed_share": False, "decoder_cls_embed_share": False}
    config = MMGroundingDinoConfig(**_grounding_dino_sizes(bert), **own)
    return _save_detector(made(MMGroundingDinoForObjectDetection, config, 0.05), folder, bert)


def _grounding_dino_sizes(bert: Path) -> dict[str, Any]:
    import json

    from transformers import BertConfig, SwinConfig

    swin = SwinConfig(embed_dim=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8], window_size=5, out_indices=[2, 3, 4])
    return {
        "backbone_config": swin,
        "text_config": BertConfig(**json.loads((bert / "config.json").read_text())),
        "d_model": 64,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "num_queries": 20,
        "num_feature_levels": 3,
        "max_text_len": 64,
        "disable_custom_kernels": True,
    }


def _save_detector(network: Any, folder: Path, bert: Path) -> Path:
    from transformers import GroundingDinoImageProcessor

    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_bytes((bert / file).read_bytes())
    network.save_pretrained(folder)
    size = {"shortest_edge": 96, "longest_edge": 160}
    GroundingDinoImageProcessor(size=size, image_mean=[0.5, 0.4, 0.3]).save_pretrained(folder)
    return folder


DECODER = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 4, "iou_head_hidden_dim": 32}


def save_edgetam(folder: Path) -> Path:
    """With EdgeTAM's own backbone, which is small."""
    from transformers import EdgeTamConfig, EdgeTamModel, Sam2ImageProcessor

    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1.dist_in1k",
        "num_classes": 1000,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    config = EdgeTamConfig(
        vision_config={
            "backbone_config": backbone,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "fpn_hidden_size": 32,
        },
        prompt_encoder_config={"image_size": 128, "patch_size": 16, "hidden_size": 32},
        mask_decoder_config=DECODER,
    )
    made(EdgeTamModel, config, 0.02).save_pretrained(folder)
    Sam2ImageProcessor(size={"height": 128, "width": 128}).save_pretrained(folder)
    return folder


def save_sam3_tracker(folder: Path) -> Path:
    from transformers import Sam3ImageProcessor, Sam3TrackerConfig, Sam3TrackerModel

    config = Sam3TrackerConfig(
        vision_config=sam3_sizes()["vision_config"],
        prompt_encoder_config={"image_size": 112, "patch_size": 14, "hidden_size": 32},
        mask_decoder_config=DECODER,
    )
    made(Sam3TrackerModel, config).save_pretrained(folder)
    Sam3ImageProcessor(size={"height": 112, "width": 112}).save_pretrained(folder)
    return folder


def save_sam2(folder: Path) -> Path:
    from transformers import Sam2Config, Sam2Model

    side, width = 64, 32
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [side, side],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [4, 4, 4, 4],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }
    config = Sam2Config(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": backbone,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": width,
        },
        prompt_encoder_config={"hidden_size": width, "image_size": side, "patch_size": 16},
        mask_decoder_config=DECODER,
    )
    made(Sam2Model, config).save_pretrained(folder)
    return folder


def save_sam_hq(folder: Path) -> Path:
    from transformers import SamHQConfig, SamHQModel

    vision = {
        "model_type": "sam_hq_vision_model",
        "hidden_size": 32,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "window_size": 3,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
    }
    decoder = {**DECODER, "vit_dim": 32}
    prompts = {"hidden_size": 32, "image_size": 64, "patch_size": 8}
    config = SamHQConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    made(SamHQModel, config).save_pretrained(folder)
    return folder


SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}


def save_tipsv2(folder: Path) -> Path:
    from transformers import Tipsv2Config, Tipsv2ImageProcessor, Tipsv2Model

    words = save_clip_tokenizer(folder, 64)
    text = {**SMALL, "vocab_size": words, "max_position_embeddings": 64}
    vision = {key: SMALL[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    config = Tipsv2Config(text_config=text, vision_config={**vision, "image_size": 56})
    made(Tipsv2Model, config).save_pretrained(folder)
    Tipsv2ImageProcessor(size={"height": 56, "width": 56}).save_pretrained(folder)
    return folder


def save_clipseg(folder: Path) -> Path:
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, ViTImageProcessor

    words = save_clip_tokenizer(folder, 77)
    config = CLIPSegConfig(
        text_config={**SMALL, "vocab_size": words, **ends_of(words)},
        vision_config={**SMALL, "image_size": 32, "patch_size": 16},
        projection_dim=16,
        extract_layers=[0, 1, 2],
        reduce_dim=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
    )
    made(CLIPSegForImageSegmentation, config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder
