# Segment and Select with a variant of the config.


use rule index_refs as ablation_index_refs with:
    output:
        refs=f"{ABLATED}/refs.parquet",
        truth=f"{ABLATED}/truth.h5",
        data=f"{ABLATED}/data.json",
    log:
        f"{ABLATED}/logs/index_refs.log",
    benchmark:
        f"{ABLATED}/benchmarks/index_refs.tsv"
    wildcard_constraints:
        key=stage_keys("truth"),
    params:
        compat=ablated_compat("gt_overlap_hole"),


use rule extract_nouns as ablation_extract_nouns with:
    output:
        nouns=f"{ABLATED_SPLIT}/nouns.parquet",
    log:
        f"{ABLATED_SPLIT}/logs/extract_nouns.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/extract_nouns.tsv"
    wildcard_constraints:
        key=stage_keys("nouns"),
    params:
        settings=ablated_section("nouns"),
        backend=ablated_backend(lambda settings: settings.nouns.encoder),


use rule detect_boxes as ablation_detect_boxes with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        nouns=from_stage("nouns", "{dataset}/{split}/nouns.parquet"),
    output:
        boxes=f"{ABLATED_SPLIT}/shards/boxes.{{shard}}-of-{{shards}}.h5",
    log:
        f"{ABLATED_SPLIT}/logs/detect_boxes.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/detect_boxes.{{shard}}-of-{{shards}}.tsv"
    wildcard_constraints:
        key=stage_keys("boxes"),
    params:
        settings=ablated_section("detect"),
        compat=ablated_compat(*STAGES["boxes"].compat),
        backend=ablated_backend(lambda settings: settings.detect.backend),


use rule segment_boxes as ablation_segment_boxes with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        nouns=from_stage("nouns", "{dataset}/{split}/nouns.parquet"),
        boxes=from_stage(
            "boxes", "{dataset}/{split}/shards/boxes.{shard}-of-{shards}.h5"
        ),
    output:
        masks=f"{ABLATED_SPLIT}/shards/masks.{{shard}}-of-{{shards}}.h5",
    log:
        f"{ABLATED_SPLIT}/logs/segment_boxes.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/segment_boxes.{{shard}}-of-{{shards}}.tsv"
    wildcard_constraints:
        key=stage_keys("masks"),
    params:
        settings=ablated_section("segment"),
        compat=ablated_compat("candidates_any_noun"),
        backend=ablated_backend(lambda settings: settings.segment.backend),


use rule score_candidates as ablation_score_candidates with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=from_stage(
            "masks", "{dataset}/{split}/shards/masks.{shard}-of-{shards}.h5"
        ),
    output:
        scores=f"{ABLATED_SPLIT}/shards/scores.{{shard}}-of-{{shards}}.h5",
    log:
        f"{ABLATED_SPLIT}/logs/score_candidates.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/score_candidates.{{shard}}-of-{{shards}}.tsv"
    wildcard_constraints:
        key=stage_keys("scores"),
    params:
        settings=ablated_section("score"),
        compat=ablated_compat(*STAGES["scores"].compat),
        backend=ablated_backend(lambda settings: settings.score.backend),


use rule gather as ablation_gather with:
    input:
        shards=expand(
            "{folder}/shards/{{kind}}.{shard}-of-{shards}.h5",
            folder=ABLATED_SPLIT,
            shard=range(SHARDS),
            shards=SHARDS,
        ),
    output:
        whole=f"{ABLATED_SPLIT}/{{kind}}.h5",
    log:
        f"{ABLATED_SPLIT}/logs/gather_{{kind}}.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/gather_{{kind}}.tsv"


use rule select_masks as ablation_select_masks with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=from_stage("masks", "{dataset}/{split}/masks.h5"),
        scores=from_stage("scores", "{dataset}/{split}/scores.h5"),
    output:
        selected=f"{ABLATED_SPLIT}/selected.h5",
    log:
        f"{ABLATED_SPLIT}/logs/select_masks.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/select_masks.tsv"
    wildcard_constraints:
        key=stage_keys("selected"),
    params:
        settings=ablated_section("select"),
        compat=ablated_compat(*STAGES["selected"].compat),
