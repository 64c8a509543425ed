# What decides whether a stage runs again, from ssc_core.config.stages: `params` of its rule. All are values, and none a time.


def as_json(values):
    return json.dumps(values, sort_keys=True)


def section(name):
    """One section of the config as canonical JSON."""
    return as_json(SETTINGS.values(name))


def settled(find):
    """Params from `find(stage, wildcards)`, by the name of the stage, which may have wildcards as `{phase}`. Found once
    for all shards of all splits, which differ in nothing that they are made with."""
    known = {}

    def of(name):
        def found(wildcards):
            stage = name.format(**dict(wildcards.items()))
            key = stage, wildcards.get("variant", ""), wildcards.get("dataset", "")
            if key not in known:
                known[key] = find(stage, wildcards)
            return known[key]

        return found

    return of


def stage_like(name):
    """One of the stages of a rule, as `{phase}`, for what all of them have in common: what they call, and which kinds of
    params they have."""
    return stage_named(
        name.format(phase="correct", kind="masks", method="corrected", scorer="any")
    )


@settled
def settings_of(stage, wildcards):
    """The sections that a stage reads; of a single one, its keys alone."""
    sections, settings = stage_named(stage).sections, varied(wildcards)
    values = {section: settings.values(section) for section in sections}
    return as_json(values[sections[0]] if len(values) == 1 else values)


@settled
def compat_of(stage, wildcards):
    """The compat switches that a stage reads."""
    switches = varied(wildcards).values("compat")
    return as_json({key: switches[key] for key in stage_named(stage).compat})


@settled
def models_of(stage, wildcards):
    """Digests of the code and weights of the models that a stage uses."""
    settings = varied(wildcards)
    check_toys(settings, stage, wildcards.dataset)
    models = [model_at(settings, key) for key in stage_named(stage).models]
    files = weights(*stage_named(stage).files)
    return "; ".join(filter(None, [*map(model_state, models), files]))


def check_toys(settings, stage, dataset):
    """Photos are not given to models that know drawings only. A stage of labels names those of all such stages."""
    if dataset_world(settings, dataset) == "files" and toys_of(settings, [stage]):
        labels = label_stages(settings)
        stages = labels if stage in labels else [stage]
        try:
            check_stages(settings, stages, f"the photos of dataset '{dataset}'")
        except SscError as error:
            raise WorkflowError(str(error))


@settled
def plugins_of(stage, wildcards):
    """Digests of the other code of the user's own that a stage uses."""
    try:
        return plugin_versions(varied(wildcards), stage)
    except SscError as error:
        raise WorkflowError(str(error))


def reads(name):
    """`params` with all that decides whether a stage runs again, besides its inputs."""
    stage = stage_like(name)
    params = {"code": code(stage.calls)}
    if stage.sections:
        params["settings"] = settings_of(name)
    params |= {key.rpartition(".")[2]: value_at(key) for key in stage.values}
    if stage.compat:
        params["compat"] = compat_of(name)
    if stage.models:
        params["models"] = models_of(name)
    if stage.plugins:
        params["plugins"] = plugins_of(name)
    return params


def value_at(key):
    """A single value of the config, as `evaluate.both_ways`."""
    return lambda wildcards: value_of(varied(wildcards), key)


def code(calls):
    """Digest of a function's module and of all that it imports from ssc_core: `snakemake -n` shows it."""
    place, _, function = calls.partition(":")
    name = place.removeprefix("workflow_scripts.") if function == "main" else function
    return f"code of {name}: {code_version(place)}"


@cache
def weights(*paths):
    """Digests of the weights that lie at paths. Read once per plan, which asks for the same models for every shard."""
    versions = {path: weights_version(path) for path in paths}
    return "; ".join(
        f"weights {path}: {version}" for path, version in versions.items() if version
    )


def weights_in(settings):
    return weights(*possible_paths(settings, RESULTS).values())


def model_at(settings, key):
    """A model of the config by its key, as `detect.backend` or `scorers.dense.backend`."""
    for name in key.split("."):
        settings = (
            settings[name] if isinstance(settings, dict) else getattr(settings, name)
        )
    return settings


def model_state(model):
    """Weights at a path, weights that settings name, or code and weights behind a backend."""
    if isinstance(model, str | None):
        return weights(model)
    if isinstance(model, dict):
        return weights_in(model)
    try:
        version = backend_version(model.name)
    except SscError as error:
        raise WorkflowError(str(error))
    return f"backend {model.name}: {version}; {weights_in(model.settings)}"
