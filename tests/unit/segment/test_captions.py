from __future__ import annotations

import numpy as np
import pytest
from transformers import AutoTokenizer

from ssc_core.segment.captions import captions_of, labels_by_exact_phrase, labels_by_token_spans


@pytest.fixture(scope="module")
def tokenizer(tiny_bert):
    return AutoTokenizer.from_pretrained(tiny_bert)


def one(prompt, tokenizer):
    (caption,) = captions_of(prompt, tokenizer, 64)
    return caption


def test_the_caption_is_lower_case_with_commas_and_a_final_dot(tokenizer):
    caption = one(["Dog", "hot  dog"], tokenizer)
    assert caption.text == "dog, hot dog."
    assert tokenizer.convert_ids_to_tokens(caption.token_ids) == ["[CLS]", "dog", ",", "hot", "dog", ".", "[SEP]"]


def test_each_class_knows_its_own_tokens(tokenizer):
    caption = one(["umbrellas", "dog", "tricycle"], tokenizer)
    tokens = np.array(tokenizer.convert_ids_to_tokens(caption.token_ids))
    assert [tokens[row].tolist() for row in caption.class_tokens] == [["umbrella", "##s"], ["dog"], ["[UNK]"]]


def test_a_prompt_that_does_not_fit_becomes_several_captions(tokenizer):
    prompt = ["hot dog", "umbrellas"] * 20
    captions = captions_of(prompt, tokenizer, 30)
    assert [label for caption in captions for label in caption.labels] == list(range(40))
    assert all(len(caption.token_ids) <= 30 for caption in captions) and len(captions) > 1


def test_a_class_that_alone_does_not_fit_is_cut_and_no_classes_give_no_caption(tokenizer):
    (caption,) = captions_of(["dog " * 50], tokenizer, 30)
    assert len(caption.token_ids) == 30 and caption.class_tokens.sum() == 28
    assert captions_of([], tokenizer, 30) == []


@pytest.mark.parametrize("name", ["", "  ", "🐶", "左", "st. bernard", "dog?", "a, b"])
def test_no_class_name_breaks_it(tokenizer, name):
    caption = one([name, "dog"], tokenizer)
    assert caption.class_tokens.shape == (2, len(caption.token_ids))
    assert tokenizer.convert_ids_to_tokens(np.array(caption.token_ids)[caption.class_tokens[1]]) == ["dog"]


def probabilities(caption, **per_token):
    """One query: probability of each token by its place, as t1=0.9."""
    row = np.zeros((1, len(caption.token_ids)))
    for place, value in per_token.items():
        row[0, int(place[1:])] = value
    return row


def test_token_spans_take_the_highest_mean_over_a_classes_own_tokens(tokenizer):
    caption = one(["hot dog", "dog"], tokenizer)  # [CLS] hot dog , dog . [SEP]
    assert labels_by_token_spans(probabilities(caption, t1=0.2, t2=0.9, t4=0.5), caption).tolist() == [0]
    assert labels_by_token_spans(probabilities(caption, t2=0.9, t4=0.5), caption).tolist() == [1]
    assert labels_by_token_spans(probabilities(caption, t3=0.9, t5=0.9), caption).tolist() == [0], "a tie"


def test_exact_phrase_needs_all_tokens_of_one_class_and_no_other(tokenizer):
    caption = one(["cat", "hot dog", "umbrellas"], tokenizer)  # [CLS] cat , hot dog , umbrella ##s . [SEP]

    def label(**per_token):
        return labels_by_exact_phrase(probabilities(caption, **per_token), caption, tokenizer, 0.25).tolist()[0]

    assert label(t3=0.4, t4=0.3) == 1
    assert label(t6=0.4, t7=0.3, t8=0.9) == 2, "the dot does not count"
    assert label(t3=0.4, t4=0.2) == -1, "half a class"
    assert label(t1=0.4, t3=0.4, t4=0.4) == -1, "two classes"
    assert label(t1=0.3) == 0
    assert label(t0=0.9, t1=0.3) == -1, "[CLS] counts"
    assert label(t1=0.3, t9=0.9) == -1, "[SEP] counts"
    assert label() == -1


def test_the_two_ways_differ_where_the_published_one_loses_a_box(tokenizer):
    caption = one(["cat", "hot dog"], tokenizer)
    row = probabilities(caption, t1=0.3, t3=0.9, t4=0.9)
    assert labels_by_token_spans(row, caption).tolist() == [1]
    assert labels_by_exact_phrase(row, caption, tokenizer, 0.25).tolist() == [-1]
