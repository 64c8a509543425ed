"""The chooser's questions to a multimodal model of transformers in this process, from a local folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from ssc_core.pretrained import Attention, Dtype, load_network, load_processor
from ssc_core.select.chooser import MOST_MARKS, QUESTION, SIDE, Chooser, Question, Tokens, read_number
from ssc_core.torch_runtime import ShrinkingBatches, pick_device

LIKELY = 20
"""An answer has a number where one is among so many most probable tokens; as many as servers list."""


class TransformersChooser(Chooser):
    """See ``Chooser``. Qwen3-VL and its relatives: whatever AutoModelForImageTextToText loads, with a chat template.

    model: folder of ``save_pretrained``, with processor and chat template. dtype, attention: see ``load_network``.
    template: values for the chat template, as ``{enable_thinking: false}`` for models that can think first.
    Questions are asked one by one, since a photo's thousand tokens fill a device: no score depends on the others.

    Raises SscError when the folder does not hold such a model.
    """

    def __init__(
        self,
        model: str,
        *,
        dtype: Dtype = "bfloat16",
        attention: Attention | None = None,
        template: Mapping[str, Any] | None = None,
        side: int = SIDE,
        question: str = QUESTION,
        device: str = "auto",
        threads: int = 1,
    ) -> None:
        super().__init__(question, side)
        self._device = pick_device(device, threads)
        self._processor = load_processor(model)
        self._network = load_network(AutoModelForImageTextToText, model, dtype=dtype, attention=attention)
        self._network.to(self._device).requires_grad_(False)
        self._template = dict(template or {})
        self._words = [self._processor.tokenizer.decode([row]) for row in range(len(self._processor.tokenizer))]
        self._numbers = [row for row, word in enumerate(self._words) if read_number(word, MOST_MARKS)]
        self._runs = ShrinkingBatches(1, "the chooser, questions")

    def _ask(self, questions: Sequence[Question]) -> list[Tokens]:
        return self._runs(questions, lambda some: [self._first_tokens(question) for question in some])

    @torch.inference_mode()
    def _first_tokens(self, question: Question) -> Tokens:
        """All tokens that are numbers if one of them is likely, else the likely ones."""
        content = [
            {"type": "image", "image": Image.fromarray(question.picture)},
            {"type": "text", "text": question.text},
        ]
        inputs = self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **self._template,
        ).to(self._device, dtype=self._network.dtype)
        logits = self._network(**inputs, logits_to_keep=1).logits[0, -1, : len(self._words)]
        values = logits.float().log_softmax(-1)
        likely = values.topk(min(LIKELY, len(values))).indices.tolist()
        rows = self._numbers if set(self._numbers).intersection(likely) else likely
        return [(self._words[row], float(values[row])) for row in rows]
