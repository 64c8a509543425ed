"""Multimodal models that chat, at a small size with random weights, in folders as they are published."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<image>",
)
TEMPLATE = """{% for message in messages %}<|im_start|>{{ message.role }}
{% for part in message.content %}{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}
{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}<|im_end|>{% endif %}{% endif %}"""
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 256 + len(SPECIAL) + 3,
}


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte is a token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: row for row, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def shaken(network: PreTrainedModel, words: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Random weights that are larger, so that what it sees and reads counts; it likes to answer with digits."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value) * 0.2)
        digits = torch.tensor(words.convert_tokens_to_ids(list("123456789")))
        likes = torch.zeros(len(network.lm_head.weight), 1).index_fill_(0, digits, 1)
        network.lm_head.weight.mul_(likes)
    return network


def make_qwen3_vl(folder: Path) -> Path:
    words = tokenizer()
    ids = dict(zip(SPECIAL, words.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    sizes = {"shortest_edge": 32 * 32, "longest_edge": 160 * 160}
    pictures = Qwen2VLImageProcessor(patch_size=16, merge_size=2, size=sizes)
    template = TEMPLATE.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    video = Qwen3VLVideoProcessor(patch_size=16, merge_size=2)
    Qwen3VLProcessor(pictures, words, video, chat_template=template).save_pretrained(folder)
    vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32}
    config = Qwen3VLConfig(
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        },
        vision_config={**vision, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    shaken(Qwen3VLForConditionalGeneration(config), words).save_pretrained(folder)
    return folder


def make_llava(folder: Path) -> Path:
    words = tokenizer()
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        pictures, words, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    ).save_pretrained(folder)  # fmt: skip
    vision = {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3}
    config = LlavaConfig(
        text_config={"model_type": "llama", **TEXT},
        vision_config={**vision, "num_attention_heads": 2, "image_size": 32, "patch_size": 8, "projection_dim": 16},
        image_token_id=words.convert_tokens_to_ids("<image>"),
    )
    shaken(LlavaForConditionalGeneration(config), words).save_pretrained(folder)
    return folder
