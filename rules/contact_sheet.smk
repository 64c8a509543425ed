# What Segment found, to look at.


rule contact_sheet:
    # boxes, masks and candidates of some photos of a split, to look at
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        nouns=f"{RESULTS}/{{dataset}}/{{split}}/nouns.parquet",
        masks=f"{RESULTS}/{{dataset}}/{{split}}/masks.h5",
    output:
        sheet=report(
            f"{RESULTS}/{{dataset}}/{{split}}/contact_sheet.jpg",
            category="Segment",
            labels={"dataset": "{dataset}", "split": "{split}"},
            caption="../docs/captions/contact_sheet.rst",
        ),
    log:
        f"{RESULTS}/{{dataset}}/{{split}}/logs/contact_sheet.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/{{split}}/benchmarks/contact_sheet.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        images=images_folder,
        code=code("contact_sheet"),
    message:
        "{wildcards.dataset} {wildcards.split}: drawing the contact sheet of Segment"
    shell:
        job(
            "contact_sheet",
            "--refs {input.refs:q} --nouns {input.nouns:q} --masks {input.masks:q}",
            "--images {params.images:q} --split {wildcards.split:q} --out {output.sheet:q}",
        )
