from __future__ import annotations

import re
from itertools import product

import pytest
import torch
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection

from ssc_core.errors import SscError
from ssc_core.segment.grounding_dino_convert import NOT_IN_FILE, convert_state_dict, fit

SIX = "{0|1|2|3|4|5}"
BLOCKS_OF = {0: "{0|1}", 1: "{0|1}", 2: SIX, 3: "{0|1}"}
WB = "{weight|bias}"
DEFORMABLE = "{sampling_offsets|attention_weights|value_proj|output_proj}"

OFFICIAL = [
    "transformer.{level_embed|tgt_embed.weight}",
    f"transformer.encoder.layers.{SIX}.self_attn.{DEFORMABLE}.{WB}",
    f"transformer.encoder.layers.{SIX}.{{norm1|norm2|linear1|linear2}}.{WB}",
    f"transformer.encoder.text_layers.{SIX}.self_attn.{{in_proj_weight|in_proj_bias|out_proj.weight|out_proj.bias}}",
    f"transformer.encoder.text_layers.{SIX}.{{norm1|norm2|linear1|linear2}}.{WB}",
    f"transformer.encoder.fusion_layers.{SIX}.{{gamma_v|gamma_l}}",
    f"transformer.encoder.fusion_layers.{SIX}.{{layer_norm_v|layer_norm_l}}.{WB}",
    f"transformer.encoder.fusion_layers.{SIX}.attn.{{v|l|values_v|values_l|out_v|out_l}}_proj.{WB}",
    f"transformer.decoder.layers.{SIX}.cross_attn.{DEFORMABLE}.{WB}",
    f"transformer.decoder.layers.{SIX}.{{norm1|norm2|norm3|catext_norm|linear1|linear2}}.{WB}",
    f"transformer.decoder.layers.{SIX}.{{self_attn|ca_text}}."
    "{in_proj_weight|in_proj_bias|out_proj.weight|out_proj.bias}",
    f"transformer.decoder.norm.{WB}",
    f"transformer.decoder.ref_point_head.layers.{{0|1}}.{WB}",
    f"transformer.decoder.bbox_embed.{SIX}.layers.{{0|1|2}}.{WB}",
    f"transformer.{{enc_output|enc_output_norm}}.{WB}",
    f"transformer.enc_out_bbox_embed.layers.{{0|1|2}}.{WB}",
    f"bbox_embed.{SIX}.layers.{{0|1|2}}.{WB}",
    "bert.embeddings.{word_embeddings|position_embeddings|token_type_embeddings}.weight",
    f"bert.embeddings.LayerNorm.{WB}",
    f"bert.encoder.layer.{{0|1}}.attention.{{self.query|self.key|self.value|output.dense|output.LayerNorm}}.{WB}",
    f"bert.encoder.layer.{{0|1}}.{{intermediate.dense|output.dense|output.LayerNorm}}.{WB}",
    f"{{bert.pooler.dense|feat_map}}.{WB}",
    f"input_proj.{{0|1|2|3}}.{{0|1}}.{WB}",
    f"backbone.0.patch_embed.{{proj|norm}}.{WB}",
    f"backbone.0.{{norm1|norm2|norm3}}.{WB}",
    *(
        f"backbone.0.layers.{stage}.blocks.{blocks}.{{norm1|norm2|attn.qkv|attn.proj|mlp.fc1|mlp.fc2}}.{WB}"
        for stage, blocks in BLOCKS_OF.items()
    ),
    *(
        f"backbone.0.layers.{stage}.blocks.{blocks}.attn.{{relative_position_bias_table|relative_position_index}}"
        for stage, blocks in BLOCKS_OF.items()
    ),
    "backbone.0.layers.{0|1|2}.downsample.reduction.weight",
    f"backbone.0.layers.{{0|1|2}}.downsample.norm.{WB}",
    "{label_enc.weight|bert.embeddings.position_ids}",
]
"""Names in the official Swin-T file, {a|b} for alternatives, with a BERT of two layers in place of twelve."""


def expand(template: str) -> list[str]:
    """All names of a template."""
    options = [group.split("|") for group in re.findall(r"\{([^{}]*)\}", template)]
    return [re.sub(r"\{[^{}]*\}", "%s", template) % choice for choice in product(*options)]


@pytest.fixture(scope="module")
def official_names() -> list[str]:
    return [name for template in OFFICIAL for name in expand(template)]


@pytest.fixture(scope="module")
def port() -> GroundingDinoForObjectDetection:
    bert = BertConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128)
    with torch.device("meta"):
        return GroundingDinoForObjectDetection(GroundingDinoConfig(text_config=bert))


def test_every_official_tensor_has_a_place_and_every_place_a_tensor(official_names, port):
    assert len(official_names) == len(set(official_names)) == 780
    converted = convert_state_dict({name: torch.zeros(3) for name in official_names})
    places = {name for name in port.state_dict() if not NOT_IN_FILE.match(name)}
    assert converted.keys() == places


def test_stacked_projections_are_taken_apart_in_their_order():
    weight = torch.arange(6.0).view(6, 1)
    names = ["backbone.0.layers.1.blocks.0.attn.qkv.weight", "transformer.decoder.layers.2.ca_text.in_proj_weight"]
    converted = convert_state_dict(dict.fromkeys(names, weight))
    assert {name.split(".")[-2]: tensor.flatten().tolist() for name, tensor in converted.items()} == {
        "q_proj": [0, 1],
        "k_proj": [2, 3],
        "v_proj": [4, 5],
        "query": [0, 1],
        "key": [2, 3],
        "value": [4, 5],
    }


def test_a_name_that_no_rule_knows_is_an_error():
    with pytest.raises(SscError, match=r"unknown tensor 'head\.weight'"):
        convert_state_dict({"head.weight": torch.zeros(1)})


def test_a_tensor_that_is_missing_left_over_or_of_another_shape_is_an_error():
    network = torch.nn.Linear(2, 3)
    state = dict(network.state_dict())
    with pytest.raises(SscError, match=r"1 tensors missing \['bias'\]"):
        fit(network, {"weight": state["weight"]})
    with pytest.raises(SscError, match=r"1 left over \['extra'\]"):
        fit(network, {**state, "extra": torch.zeros(1)})
    with pytest.raises(SscError, match="bias has shape"):
        fit(network, {**state, "bias": torch.zeros(4)})
