# Inputs and params of rules that train a network, or look at one.
EVALUATED_NETWORK = (
    f"(?:(?:{'|'.join(sorted({*NETWORKS, 'published'} - {'corrected'}))})_)?"
)
"""In names of files: eval_val.json is of the corrected network, eval_pretrained_val.json of another."""


def training_inputs(wildcards):
    """What a phase is trained on, and what it starts from: `init_from`, the phase before, or Swin and BERT weights."""
    phase, settings = wildcards.phase, varied(wildcards)
    train, start = settings.training(phase), f"{PHASES[phase].after}.pt"
    learns_from = PHASES[phase].learns_from
    names = {start: "init"} | ({"truth": "val_truth"} if train.keep == "best" else {})
    names |= {"selected": "picks"} if learns_from == "masks" else {}
    of_train = Fixed(wildcards, {"split": "train"})
    files = {
        names.get(name, name): path_of(name, of_train)
        for name in inputs(settings, phase)
    }
    if learns_from == "truth":
        files["truth"] = path_of("truth", wildcards)
    if learns_from == "masks":
        if reviews_of_people(wildcards):
            files["picks"] = path_of("selected", of_train)
        try:
            check_prior(train, settings.compat)
        except SscError as error:
            stop(f"{phase}: {error}")
    if train.init_from:
        files["init"] = given(train.init_from, f"{phase}.init_from")
    return files


def start_version(wildcards):
    """Digest of `init_from`. What this workflow makes itself, Snakemake follows."""
    path = varied(wildcards).training(wildcards.phase).init_from
    made_here = path is not None and Path(path).is_relative_to(RESULTS)
    return "" if made_here else weights_version(path)


def training_state(wildcards):
    """Where a training keeps what it resumes from: on a drive, also where its checkpoint goes to a storage."""
    path = home(TRAINED["pt"]).format(**dict(wildcards.items()))
    return "{0.parent}/state/{0.stem}".format(Path(path))


def method_of(wildcards):
    """The method of an evaluated network: eval_val.json is of the corrected one, eval_pretrained_val.json of another."""
    return wildcards.get("method", "").removesuffix("_") or "corrected"


def evaluation_of(result):
    """Input: a result of the evaluation of a network."""
    return lambda wildcards: path_of(
        result.format(method=method_of(wildcards)), wildcards
    )


def network_of(wildcards):
    """The checkpoint of a method; of `published`, one that was trained elsewhere. It is fetched if it is not here yet."""
    method = method_of(wildcards)
    if method != "published":
        return path_of(f"{NETWORKS[method]}.pt", wildcards)
    path = SETTINGS.datasets[wildcards.dataset].checkpoint
    key = f"datasets.{wildcards.dataset}.checkpoint"
    if path is None:
        stop(f"{key} is not set: name the file that is to be evaluated")
    return given(path, key)


def bert_of(wildcards):
    """Whose tokenizer a network takes that was trained elsewhere; ours say so themselves."""
    published = method_of(wildcards) == "published"
    return varied(wildcards).network.bert if published else ""


def network_name(wildcards):
    """What the network is called whose code may be run: a checkpoint's own word is not enough."""
    return varied(wildcards).network.name


def models_of_network(wildcards):
    return models_of(f"evaluate_{method_of(wildcards)}")(wildcards)
