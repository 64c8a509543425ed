# Annotations -> refs.parquet (one row per sentence), truth.h5 (ground-truth masks), data.json (what the data are).


rule make_world:
    output:
        stamp=f"{RESULTS}/{{dataset}}/world/world.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/make_world.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/make_world.tsv"
    conda:
        "../envs/data.yaml"
    threads: SETTINGS.compute.threads
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=section("micro"),
        name=lambda wildcards: micro_name(SETTINGS, wildcards.dataset),
        code=code("make_world"),
    message:
        "{wildcards.dataset}: drawing the micro world"
    shell:
        job(
            "make_world",
            "--name {params.name:q} --settings {params.settings:q} --threads {threads}",
            "--stamp {output.stamp:q}",
        )


rule index_refs:
    input:
        annotations=annotations,
    output:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=f"{RESULTS}/{{dataset}}/truth.h5",
        data=f"{RESULTS}/{{dataset}}/data.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/index_refs.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/index_refs.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        source=lambda wildcards: dataset_source(
            SETTINGS, wildcards.dataset
        ).model_dump_json(),
        identity=lambda wildcards: dataset_identity(SETTINGS, wildcards.dataset),
        check=lambda wildcards: (
            "--check-counts" if dataset(wildcards).check_counts else ""
        ),
        limit=lambda wildcards: (
            f"--limit {dataset(wildcards).limit}" if dataset(wildcards).limit else ""
        ),
        skip="--skip-bad-photos" if SETTINGS.detect.on_bad_image == "skip" else "",
        compat=compat("gt_overlap_hole"),
        code=code("index_refs"),
    message:
        "{wildcards.dataset}: indexing refs and ground truth"
    shell:
        job(
            "index_refs",
            "--dataset {wildcards.dataset:q} --source {params.source:q}",
            "--identity {params.identity:q} --compat {params.compat:q} {params.check} {params.skip} {params.limit}",
            "--refs {output.refs:q} --truth {output.truth:q} --data {output.data:q}",
        )
