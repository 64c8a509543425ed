"""docs/gpu.md from the findings of the GPU check's parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Results = Mapping[str, Mapping[str, Any]]
TARGETS = {"segment": 6, "detect": 6, "select": 8, "correct": 3}
"""Times the published way, on one H100."""
SETTINGS = ("fast_settings", "fast_compile")
"""Parts that measure ways to be faster, each on against off."""

HOW = """\
## How to run it

`make gpu-check` runs all parts, at the published sizes where there is a GPU and with small networks elsewhere. On a GPU
each part's findings replace those in `benchmarks/gpu_found`, of which this page is made. `ssc doctor --gpu` runs the
quick ones. Nothing is downloaded: all weights are random, made on the spot.

A bare machine needs a copy of the checkout; Python 3.11 or later with torch, torchvision, timm, h5py, SciPy, OpenCV and
what transformers needs; and a folder of what else the check imports (envs/gpu-check.txt: segment-anything,
open-clip-torch, transformers, ftfy, wcwidth, pycocotools, pydantic, pydantic-core, annotated-types, typing-inspection;
74 MB). Nothing is installed there:

    make gpu-wheels THERE=3.12               # here: build/gpu-wheels, for a machine with Python 3.12 on x86-64 Linux
    export PYTHONPATH=$PWD/build/gpu-wheels  # there, in the copy, that folder included
    python benchmarks/gpu.py segment select correct --size small --out "$OUT"    # is all there? minutes
    python benchmarks/gpu.py segment --out "$OUT"                                # one part, ten minutes at most
    python benchmarks/gpu.py fast_segment_vit_h --out "$OUT"
    python benchmarks/gpu.py --out benchmarks/gpu_found --page                   # here, where the files came back to

The parts that say whether it is right: `segment`, `select`, `correct`, `memory`, `resume`, `lease`, `torchrun`; how
fast: `fast_segment_vit_h`, `fast_segment_vit_b`, `fast_select`, `fast_correct`, `fast_settings`, `fast_compile`. Each
is a process that is stopped after 570 s, and writes PART.json after every finding; one that breaks or is stopped keeps
what it found, says why, and ends with a status that is not 0. What is missing is named below, and its case is skipped.

fp32 is compared without TF32, so that its bounds can be tight; the device is always compared with fp32 on the CPU;
"relative" is ||found - expected|| / ||expected||. Of GroundingDINO's proposals both take the same, since those of
random weights are nearly ties. A killed training may differ from an undisturbed one by ten times what two of these
differ by, one of two processes from one of one by three times what one does that began a rounding away. Out of memory
is a real limit on a GPU; on a CPU the network says so.
"""

WAYS = (
    (
        "SAM's attention with its position bias by a fused kernel ([on a CPU](performance.md#switches-for-gpus))",
        "always on for `sam`: the bias is a part of the scalar product, so that `scaled_dot_product_attention` does it "
        "and flex attention is not needed. The others: `attention:` of their `settings` (`sdpa`, `eager`, "
        "`flash_attention_2`, `flex_attention`); open_clip chooses by itself",
        ("attention: fused, SAM",),
    ),
    (
        "GroundingDINO's deformable attention by one kernel (`ssc_core/segment/deformable_attention.py`)",
        "always on for `grounding_dino` and `mm_grounding_dino` on a GPU, where it gives what transformers gives; "
        "needs a C compiler, as everything of Triton, and says so where there is none",
        ("attention: fused, GroundingDINO",),
    ),
    (
        "`torch.compile`",
        "`compute: {compile: true}` for a training step, `segment.backend.settings: {compile: true}` for `sam`'s "
        "encoder; off. None for the detector, whose shapes change with photos and prompts, nor for open_clip",
        ("compile, SAM", "compile, training"),
    ),
    (
        "16 bits",
        "`precision: auto` of every backend and of training is bf16 autocast on a GPU; `dtype: bfloat16` or `float16` "
        "of the weights, for the networks of transformers and `open_clip_dense`, saves memory as well",
        ("bf16, SAM", "bf16, training"),
    ),
    (
        "photos decoded ahead",
        "always on, by `compute.threads` workers; training keeps small photos decoded in memory. Not on the GPU: "
        "another decoder gives other pixels, so labels would depend on the machine",
        (),
    ),
    ("photos in batches", "`compute.batch`; halved where memory is short", ("batch, SAM",)),
    (
        "CUDA graphs for small decoders",
        "none: the number of boxes differs from photo to photo and a graph is for one shape; to be tried where a "
        "profile shows the decoder waiting for launches",
        (),
    ),
    (
        "channels last",
        "always on in training; not for SAM, whose blocks are products of matrices",
        ("channels last, SAM", "channels last, training"),
    ),
    ("fused AdamW", "always on", ("fused AdamW, training",)),
    (
        "activations computed again",
        "`compute: {checkpoint_activations: true}`, where memory decides the batch; off",
        ("checkpoint_activations, training",),
    ),
    ("pinned memory", "always on in training that reads photos from the drive, on a GPU", ("pinned memory",)),
)
"""What makes a GPU faster: the setting that turns it on, or why there is none, and what ``SETTINGS`` call it."""


def page(found: Results) -> str:
    """Markdown. found: by part, in order, what each of them wrote."""
    devices = sorted({one["device_name"] for one in found.values()})
    dates = sorted({one["date"] for one in found.values()})
    versions: dict[str, set[str]] = {}
    for one in found.values():
        for name, value in one["versions"].items():
            versions.setdefault(name, set()).add(value)
    lines = [
        "# On a GPU",
        "Written by `make gpu-check` from what its parts found: no figure below was typed.",
    ]
    if all(one["device"] == "cpu" for one in found.values()):
        lines.append(
            "**This has never seen a GPU.** Everything below ran on a CPU, which was compared with itself: that shows "
            "that the check runs and what bf16 costs in exactness, and nothing about a GPU, neither that its results "
            "are right nor how fast it is."
        )
    lines += [
        f"Device: {', '.join(devices)}. Date: {', '.join(dates)}. "
        + ", ".join(f"{name} {' and '.join(sorted(values))}" for name, values in versions.items())
        + ".",
        HOW.strip(),
        "## Right",
        _table(("", "part", "size", "what", "off by", "at most", "unit"), list(_right(found))),
    ]
    for name, one in found.items():
        for kind in ("skipped", "errors"):
            lines += [f"{name}, {case}: {kind.removesuffix('s')}: {why}." for case, why in one.get(kind, {}).items()]
        if one.get("failed"):
            left = "left the figures below" if one["figures"] else "has no figures"
            lines.append(f"{name}: its command {one['failed']}, and {left}.")
        if not one.get("finished", True):
            lines.append(f"{name}: cut after {one['seconds']:.0f} s; what is above is all that it had found.")
    header = ("what", "size", "published way", "ours", "times", "target", "share in the models", "peak", "GPU busy")
    lines += [
        "## Fast",
        "Per second, with the published way of working in the same process on the same data. Targets are for the "
        "published sizes on one H100, with 90 % of the time in the models.",
        _table(header, list(_fast(found))),
    ]
    for what, _, usage, _ in _measured(found):
        rows = [(f"`{o['name']}`", o["calls"], f"{o['ms']:.1f}", f"{o['share']:.0%}") for o in usage["operators"][:6]]
        lines += [f"Where the time goes, {what}:", _table(("operator", "calls", "ms", "share"), rows)]
    lines += _settings([found[name] for name in SETTINGS if found.get(name)])
    lines += ["## Commands", "\n".join(f"    {one['command']}    # {one['seconds']:.0f} s" for one in found.values())]
    return "\n\n".join(lines) + "\n"


def _settings(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each way to be faster: what turns it on, and what that gives."""
    measured_by = [one["figures"] for one in parts if one.get("figures")]
    cases = {case["name"]: case for figures in measured_by for case in figures["cases"]}
    seen = "" if any(one["device"] == "cuda" for one in parts) else "; not on a GPU by itself"
    yield "## Each way to be faster"
    ways = []
    for what, setting, names in WAYS:
        measured = [f"{cases[name]['times']:.2f} times ({name})" for name in names if "times" in cases.get(name, {})]
        ways.append((what, setting, (", ".join(measured) or "not measured") + seen))
    yield _table(("what", "how to turn it on", "measured"), ways)
    if not cases:
        return
    yield (
        f"The same in figures, on against off: {measured_by[0]['size']} size, in turns on the same data; milliseconds "
        "per image or sample. Less than 1 is slower."
    )
    rows = []
    for case in cases.values():
        if "error" in case:
            rows.append((case["name"], case["error"], "", "", "", ""))
        else:
            memory = "" if case["on_mib"] is None else f"{case['off_mib']:.0f} to {case['on_mib']:.0f} MiB"
            times = f"**{case['times']:.2f}**"
            rows.append(
                (case["name"], f"{case['off_ms']:.3g}", f"{case['on_ms']:.3g}", times, f"{case['off_by']:.1g}", memory)
            )
    yield _table(("what", "off", "on", "times", "results off by", "peak"), rows)


def _right(found: Results) -> Iterator[tuple[object, ...]]:
    for name, one in found.items():
        for row in one.get("findings", ()):
            worst = "not comparable" if row["worst"] is None else f"{row['worst']:.2g}"
            sign = "ok" if row["ok"] else "**wrong**"
            yield sign, name, one["size"], row["what"], worst, f"{row['bound']:.2g}", row["unit"]


def _fast(found: Results) -> Iterator[tuple[object, ...]]:
    for what, size, usage, (published, ours, share, target) in _measured(found):
        peak = "" if usage["peak_mib"] is None else f"{usage['peak_mib'] / 1024:.1f} GiB"
        busy = "" if usage["utilisation"] is None else f"{usage['utilisation']:.0f} %"
        times = f"**{ours / published:.2f}**"
        yield what, size, f"{published:.3g}", f"{ours:.3g}", times, f">= {target}", f"{share:.0%}", peak, busy


def _measured(found: Results) -> Iterator[tuple[str, str, dict[str, Any], tuple[float, float, float, float]]]:
    """What, size, usage, and (published way and ours per second, share in the models, target) of every benchmark."""
    for name, one in found.items():
        figures, size = one.get("figures"), one["size"]
        if not figures or name in SETTINGS:
            continue
        if name.startswith("fast_segment"):
            for stage in ("detect", "segment"):
                if row := figures.get(stage):
                    what = f"{stage}, photos ({figures['sam'] if stage == 'segment' else 'GroundingDINO'})"
                    values = row["baseline"], row["images_per_second"], row["in_model"], TARGETS[stage]
                    yield what, size, row["usage"], values
        elif name == "fast_select":
            published, ours = figures["published_pairs_per_second"], figures["batched_pairs_per_second"]
            values = published, ours, figures["batched_share_in_model"], TARGETS["select"]
            yield f"select, pairs ({figures['model']})", size, figures["usage"], values
        else:
            published, ours = figures["published_way_samples_per_s"], figures["trainer_samples_per_s"]
            values = published, ours, 1 / max(1.0, figures["trainer_over_bare"]), TARGETS["correct"]
            yield f"correct, samples ({figures['network']})", size, figures["usage"], values


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
