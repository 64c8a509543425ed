# Training with a variant of the config.
TRAIN_SWITCHES = STAGES["pretrain"].compat + STAGES["correct"].compat
ABLATED_INIT = ("pretrain", "{dataset}/{run}checkpoints/pretrain.pt")
ABLATED_MASKS = ("masks", "{dataset}/train/masks.h5")
ABLATED_PICKS = ("selected", "{dataset}/train/selected.h5")


use rule pretrain as ablation_pretrain with:
    input:
        unpack(ablated_files("pretrain", masks=ABLATED_MASKS, selected=ABLATED_PICKS)),
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
    output:
        checkpoint=f"{ABLATED_RUN}checkpoints/pretrain.pt",
        curve=f"{ABLATED_RUN}checkpoints/pretrain.csv",
    log:
        f"{ABLATED_RUN}logs/pretrain.log",
    benchmark:
        f"{ABLATED_RUN}benchmarks/pretrain.tsv"
    wildcard_constraints:
        key=stage_keys("pretrain"),
    params:
        settings=ablated_training("pretrain"),
        compat=ablated_compat(*TRAIN_SWITCHES),


use rule correct as ablation_correct with:
    input:
        unpack(ablated_files("correct", init=ABLATED_INIT, masks=ABLATED_MASKS)),
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
    output:
        checkpoint=f"{ABLATED_RUN}checkpoints/correct.pt",
        curve=f"{ABLATED_RUN}checkpoints/correct.csv",
    log:
        f"{ABLATED_RUN}logs/correct.log",
    benchmark:
        f"{ABLATED_RUN}benchmarks/correct.tsv"
    wildcard_constraints:
        key=stage_keys("correct"),
    params:
        settings=ablated_training("correct"),
        compat=ablated_compat(*TRAIN_SWITCHES),
