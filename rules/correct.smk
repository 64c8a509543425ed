# Stage 3: LAVT pre-trained on the selected masks, then trained on all candidates with constrained greedy matching.


TRAIN_COMPAT = compat(
    "lr_by_loader_length",
    "drop_first_batch",
    "matching_double_count",
    "palette_targets",
    "merged_masks",
)
TRAIN_CODE = code_version("ssc_core.correct.train_stage")
NETWORK_WEIGHTS = " ".join(
    map(weights_version, [SETTINGS.network.bert, SETTINGS.network.swin_weights])
)


rule pretrain:
    input:
        **validation_truth("pretrain"),
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=f"{RESULTS}/{{dataset}}/train/masks.h5",
        selected=f"{RESULTS}/{{dataset}}/train/selected.h5",
    output:
        checkpoint=f"{RESULTS}/{{dataset}}/checkpoints/pretrain.pt",
        curve=f"{RESULTS}/{{dataset}}/checkpoints/pretrain.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/pretrain.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/pretrain.tsv"
    conda:
        "../envs/correct.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=1,
        mem_mb=32000,
        runtime=2880,
        device=SETTINGS.compute.device,
        save_minutes=str(SETTINGS.compute.save_minutes),
    params:
        settings=train_settings("pretrain"),
        compat=TRAIN_COMPAT,
        images=images_folder,
        weights=NETWORK_WEIGHTS,
        code=TRAIN_CODE,
        # resumes from here after a crash; not an output, since Snakemake deletes the outputs of a failed job
        state=lambda wildcards: f"{RESULTS}/{wildcards.dataset}/checkpoints/state/pretrain",
        truth=lambda wildcards, input: (
            f"--val-truth {input.truth}" if "truth" in input.keys() else ""
        ),
    message:
        "{wildcards.dataset}: pre-training LAVT on the selected masks"
    shell:
        "python -m workflow_scripts.train --refs {input.refs:q} --images {params.images:q} --masks {input.masks:q}"
        " --selected {input.selected:q} {params.truth} --settings {params.settings:q} --compat {params.compat:q}"
        " --state {params.state:q} --save-minutes {resources.save_minutes} --device {resources.device:q} --threads {threads}"
        " --out {output.checkpoint:q} --curve {output.curve:q} 2>&1 | tee {log:q}"


rule correct:
    input:
        **validation_truth("correct"),
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=f"{RESULTS}/{{dataset}}/train/masks.h5",
        init=f"{RESULTS}/{{dataset}}/checkpoints/pretrain.pt",
    output:
        checkpoint=f"{RESULTS}/{{dataset}}/checkpoints/correct.pt",
        curve=f"{RESULTS}/{{dataset}}/checkpoints/correct.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/correct.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/correct.tsv"
    conda:
        "../envs/correct.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=1,
        mem_mb=32000,
        runtime=2880,
        device=SETTINGS.compute.device,
        save_minutes=str(SETTINGS.compute.save_minutes),
    params:
        settings=train_settings("correct"),
        compat=TRAIN_COMPAT,
        images=images_folder,
        weights=NETWORK_WEIGHTS,
        code=TRAIN_CODE,
        state=lambda wildcards: f"{RESULTS}/{wildcards.dataset}/checkpoints/state/correct",
        truth=lambda wildcards, input: (
            f"--val-truth {input.truth}" if "truth" in input.keys() else ""
        ),
    message:
        "{wildcards.dataset}: training LAVT on all candidates with constrained greedy matching"
    shell:
        "python -m workflow_scripts.train --refs {input.refs:q} --images {params.images:q} --masks {input.masks:q}"
        " --init {input.init:q} {params.truth} --settings {params.settings:q} --compat {params.compat:q}"
        " --state {params.state:q} --save-minutes {resources.save_minutes} --device {resources.device:q} --threads {threads}"
        " --out {output.checkpoint:q} --curve {output.curve:q} 2>&1 | tee {log:q}"
