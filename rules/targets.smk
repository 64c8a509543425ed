# Targets that no dataset of the config has: refused when they are planned, with what there is in their place.
from ssc_core.config.targets import refused_pattern


rule no_such_target:
    input:
        refuse,
    output:
        f"{RESULTS}/{{refused}}",
    wildcard_constraints:
        refused=refused_pattern(SETTINGS),
