# Stage 3: LAVT pre-trained on the selected masks, then trained on all candidates with constrained greedy matching.
# `{run}` is empty, or `seed7/` for the same with another seed.


RUN = f"{RESULTS}/{{dataset}}/{{run}}"
REFS = f"{RESULTS}/{{dataset}}/refs.parquet"
TRAIN_MASKS = f"{RESULTS}/{{dataset}}/train/masks.h5"
TRAIN_SELECTED = f"{RESULTS}/{{dataset}}/train/selected.h5"
TRAIN_TRUTH = f"{RESULTS}/{{dataset}}/truth.h5"
PRETRAINED = f"{RUN}checkpoints/pretrain.pt"
NETWORK_WEIGHTS = weights(
    SETTINGS.network.bert, SETTINGS.network.tokenizer, SETTINGS.network.swin_weights
)


rule pretrain:
    input:
        **train_start("pretrain"),
        **validation_truth("pretrain"),
        refs=REFS,
        masks=TRAIN_MASKS,
        selected=TRAIN_SELECTED,
    output:
        checkpoint=PRETRAINED,
        curve=f"{RUN}checkpoints/pretrain.csv",
    log:
        f"{RUN}logs/pretrain.log",
    benchmark:
        f"{RUN}benchmarks/pretrain.tsv"
    conda:
        "../envs/correct.yaml"
    threads: SETTINGS.compute.threads
    resources:
        gpu=gpu(SETTINGS.compute.gpus),
        gres=gres(SETTINGS.compute.gpus),
        processes=SETTINGS.compute.gpus,
        nodes=SETTINGS.compute.nodes,
        mem_mb=32000,
        runtime=2880,
        device=SETTINGS.compute.device,
        save_minutes=str(SETTINGS.compute.save_minutes),
        log_to=SETTINGS.compute.log_to,
        activations=(
            "--checkpoint-activations"
            if SETTINGS.compute.checkpoint_activations
            else ""
        ),
    params:
        settings=train_settings("pretrain"),
        compat=compat(
            "lr_by_loader_length",
            "drop_first_batch",
            "loader_images",
            "matching_double_count",
            "palette_targets",
            "merged_masks",
        ),
        images=images_folder,
        weights=NETWORK_WEIGHTS,
        start=start_version("pretrain"),
        code=code("train"),
        files=file_options,
        # resumes from here after a crash; not an output, since Snakemake deletes the outputs of a failed job
        state=lambda wildcards, output: "{0.parent}/state/{0.stem}".format(
            Path(output.checkpoint)
        ),
    message:
        "{wildcards.dataset}: pre-training LAVT on the selected masks {wildcards.run}"
    shell:
        job(
            "train",
            "{params.files} --images {params.images:q} --settings {params.settings:q}",
            "--compat {params.compat:q} --state {params.state:q} --save-minutes {resources.save_minutes}",
            "--log-to {resources.log_to} --gpus {resources.processes} --nodes {resources.nodes} --device {resources.device:q}",
            "--threads {threads} {resources.activations}",
        )


use rule pretrain as correct with:
    input:
        **train_start("correct", PRETRAINED),
        **validation_truth("correct"),
        refs=REFS,
        masks=TRAIN_MASKS,
    output:
        checkpoint=f"{RUN}checkpoints/correct.pt",
        curve=f"{RUN}checkpoints/correct.csv",
        matches=f"{RUN}checkpoints/correct.matches.parquet",
    log:
        f"{RUN}logs/correct.log",
    benchmark:
        f"{RUN}benchmarks/correct.tsv"
    params:
        settings=train_settings("correct"),
        start=start_version("correct"),
    message:
        "{wildcards.dataset}: training LAVT on all candidates with constrained greedy matching {wildcards.run}"
