"""Scenes of the generated world: what is where, its picture, and exact masks of what can be seen of each object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import cv2
import numpy as np

from microworld.backgrounds import PLACES, Scenery, paint_background
from microworld.classes import CATEGORY_IDS, CATEGORY_NAMES, CLASSES, COLOURS, PERSON_KINDS, PERSON_NOUNS
from microworld.shapes import Patch, draw_object
from ssc_core.config.world import WorldSettings

MIN_VISIBLE_SHARE = 0.72  # of an object's own pixels: occlusion stays mild
MIN_VISIBLE_PIXELS = 130
# How often a scene is composed around a class, 1 for the others. People are the commonest refs of the real data sets;
# bus, boat and horse fit few places, so that they seldom come along with another class.
_MAIN_WEIGHTS = {"person": 5.0, "bus": 2.2, "boat": 2.2, "horse": 1.8}
_PLACEMENT_TRIES = 36
_THEMES = ("any", "people", "things")


@dataclass(frozen=True, slots=True, eq=False)
class SceneObject:
    """One object as it can be seen. Pixels count from the top left; boxes are xyxy with exclusive ends."""

    index: int
    category_id: int  # COCO's
    category: str
    kind: str  # 'man', 'woman', 'boy' or 'girl' for a person, else ''
    noun: str  # a natural noun for it
    colour: str  # a key of COLOURS; of a person, the clothes' colour
    look: str  # one of its class's looks
    facing: str  # 'left' or 'right' where its heading shows, else ''
    in_air: bool
    mask: np.ndarray  # bool (H, W), visible pixels
    box: tuple[int, int, int, int]  # of the visible pixels
    area: int  # visible pixels
    depth: int  # 0 is the furthest; drawn in this order

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y) of the box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture, RGB uint8 (H, W, 3), and its objects from the furthest to the nearest."""

    seed: str
    image: np.ndarray
    background: str
    objects: tuple[SceneObject, ...]

    @property
    def width(self) -> int:
        return self.image.shape[1]

    @property
    def height(self) -> int:
        return self.image.shape[0]


def scene_seed(world_seed: int, domain: str, index: int) -> str:
    """Seed of scene `index` of a domain such as 'refcoco/train' or 'pretrain/clip'; no two domains share one."""
    return hashlib.sha256(f"{world_seed}|{domain}|{index}".encode()).hexdigest()


def seeded_rng(seed: str | int, purpose: str) -> np.random.Generator:
    """Generator for one purpose of a seed: drawing and describing a scene do not disturb each other."""
    digest = hashlib.sha256(f"{seed}|{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


@dataclass(slots=True)
class _Plan:
    """An object before it is seen: its looks and, once placed, its patch and top left corner."""

    category: str
    kind: str
    colour: str
    look: str
    flip: bool
    in_air: bool
    patch: Patch = field(init=False)
    left: int = 0
    top: int = 0
    ground_y: float = 0.0

    @property
    def box(self) -> tuple[int, int, int, int]:
        height, width = self.patch.alpha.shape
        return self.left, self.top, self.left + width, self.top + height


def generate_scene(seed: str | int, settings: WorldSettings, theme: str = "any") -> Scene:
    """Compose and draw one scene.

    `theme` 'people' asks for two or more people, 'things' for a scene composed around another class, 'any' for the
    settings' mix. The same seed, settings and theme give the same pixels in every process.
    """
    if theme not in _THEMES:
        raise ValueError(f"theme {theme!r} is not one of {', '.join(_THEMES)}")
    rng = seeded_rng(seed, "scene")
    same_class = theme == "people" or rng.random() < settings.share_same_class
    while True:  # a crowded draw can lose objects; the next one is another composition from the same stream
        width, height = settings.image_sizes[int(rng.integers(len(settings.image_sizes)))]
        main = _main_class(theme, rng)
        places = [name for name, place in PLACES.items() if main in place.classes]
        background = places[int(rng.integers(len(places)))]
        classes = _classes(main, PLACES[background], same_class, settings, rng)
        plans = _placed(classes, PLACES[background], width, height, settings, rng)
        plans, owner = _visible(plans, width, height)
        peers = sum(plan.category == main for plan in plans)
        if len(plans) >= settings.min_objects and (not same_class or peers >= 2):
            image = _paint(plans, background, width, height, rng)
            objects = tuple(_seen(i, plan, owner == i, rng) for i, plan in enumerate(plans))
            return Scene(str(seed), image, background, objects)


def _main_class(theme: str, rng: np.random.Generator) -> str:
    if theme == "people":
        return "person"
    names = [name for name in CATEGORY_NAMES if theme == "any" or name != "person"]
    weights = np.array([_MAIN_WEIGHTS.get(name, 1.0) for name in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _classes(
    main: str, place: Scenery, same_class: bool, settings: WorldSettings, rng: np.random.Generator
) -> list[str]:
    """Classes of the objects, the main one first: two to four times where peers are asked for, else once."""
    total = int(rng.integers(settings.min_objects, settings.max_objects + 1))
    others = [name for name in dict.fromkeys(place.classes) if name != main]
    if not same_class:
        rng.shuffle(others)
        return [main, *others[: max(1, total - 1)]]
    peers = int(rng.choice([2, 3, 4], p=[0.45, 0.35, 0.20]))
    peers = min(peers, settings.max_objects)
    total = max(total, peers)
    return [main] * peers + [others[int(rng.integers(len(others)))] for _ in range(total - peers)]


def _placed(
    classes: list[str], place: Scenery, width: int, height: int, settings: WorldSettings, rng: np.random.Generator
) -> list[_Plan]:
    """Draw every object and find it a free spot; one that finds none is left out. Sorted from far to near."""
    crowd = {2: 1.26, 3: 1.14, 4: 1.02, 5: 0.94}.get(len(classes), 0.88)
    unit = crowd * float(np.sqrt(width * height)) / 160.0
    plans: list[_Plan] = []
    for name in classes:
        plan = _look(name, place, [p.colour for p in plans if p.category == name], settings, rng)
        if _place(plan, plans, place, unit, width, height, rng):
            plans.append(plan)
    return sorted(plans, key=lambda plan: (not plan.in_air, plan.ground_y))


def _look(name: str, place: Scenery, taken: list[str], settings: WorldSettings, rng: np.random.Generator) -> _Plan:
    cls = CLASSES[name]
    colours = [colour for colour in cls.colours if colour not in place.unfit]
    if rng.random() < settings.share_distinct_colours:
        colours = [colour for colour in colours if colour not in taken] or colours
    kind = PERSON_KINDS[int(rng.integers(len(PERSON_KINDS)))] if name == "person" else ""
    look = cls.looks[int(rng.integers(len(cls.looks)))]
    in_air = name == "kite" or look == "flying"
    if in_air and place.sky_end == 0:
        look, in_air = "standing", False
    return _Plan(name, kind, colours[int(rng.integers(len(colours)))], look, bool(rng.random() < 0.5), in_air)


def _place(
    plan: _Plan, plans: list[_Plan], place: Scenery, unit: float, width: int, height: int, rng: np.random.Generator
) -> bool:
    """Draw the object at the size that its distance asks for and look for a spot with little overlap."""
    band = place.water if plan.category == "boat" and place.water else place.ground
    depth = rng.random()
    size = CLASSES[plan.category].height * unit * rng.uniform(0.80, 1.30)
    if plan.kind in ("boy", "girl"):
        size *= 0.74
    if not plan.in_air:
        size *= 0.82 + 0.36 * depth
    size = min(size, 0.60 * height)
    plan.patch = draw_object(plan.category, plan.kind, _paint_of(plan.colour, rng), plan.look, size, plan.flip, rng)
    patch_height, patch_width = plan.patch.alpha.shape
    if patch_width > width - 4 or patch_height > height - 4:
        return False
    for trial in range(_PLACEMENT_TRIES):
        plan.left = int(rng.integers(2, width - patch_width - 1))
        if plan.in_air:
            top_end = max(3, int(place.sky_end * height) - patch_height)
            plan.top = int(rng.integers(2, top_end + 1))
        else:
            share = np.clip(depth + rng.uniform(-0.15, 0.15), 0, 1)
            ground = (band[0] + (band[1] - band[0]) * share) * height
            plan.top = int(np.clip(round(ground - plan.patch.ground[1]), 2, height - patch_height - 2))
        plan.ground_y = plan.top + plan.patch.ground[1]
        limit = 0.10 if trial < _PLACEMENT_TRIES // 2 else 0.26
        if all(_overlap(plan.box, other.box) <= limit for other in plans):
            return True
    return False


def _paint_of(colour: str, rng: np.random.Generator) -> tuple[float, ...]:
    """The colour's paint, a little lighter, darker or warmer than its neighbour's."""
    base = np.array(COLOURS[colour], dtype=np.float64)
    jittered = base * rng.uniform(0.92, 1.06) + rng.uniform(-7, 7, 3)
    return tuple(float(channel) for channel in np.clip(jittered, 12, 250))


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Shared area of two boxes over the smaller one's area."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def _visible(plans: list[_Plan], width: int, height: int) -> tuple[list[_Plan], np.ndarray]:
    """Drop the objects that others hide too much; returns the rest and the owner of every pixel (-1 the background)."""
    while True:
        owner = np.full((height, width), -1, np.int16)
        solid = [plan.patch.alpha >= 0.5 for plan in plans]
        for i, (plan, own) in enumerate(zip(plans, solid, strict=True)):
            x0, y0, x1, y1 = plan.box
            owner[y0:y1, x0:x1][own] = i
        counts = np.bincount((owner + 1).ravel(), minlength=len(plans) + 1)[1:]
        hidden = [
            i for i, own in enumerate(solid) if counts[i] < max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE * own.sum())
        ]
        if not hidden:
            return plans, owner
        plans = [plan for i, plan in enumerate(plans) if i != hidden[0]]


def _shadow_template() -> np.ndarray:
    y, x = np.mgrid[-1:1:33j, -1:1:65j]
    return np.clip(1.15 - (x * x + y * y), 0, 1).astype(np.float32) * ((x * x + y * y) < 1)


_SHADOW = _shadow_template()


def _paint(plans: list[_Plan], background: str, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Background, then all shadows, then the objects from far to near; RGB uint8 (height, width, 3)."""
    image = paint_background(background, width, height, rng)
    for plan in plans:
        if not plan.in_air:
            _cast_shadow(image, plan)
    for plan in plans:
        x0, y0, x1, y1 = plan.box
        region = image[y0:y1, x0:x1]
        region *= 1.0 - plan.patch.alpha[..., None]
        region += plan.patch.colour
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _cast_shadow(image: np.ndarray, plan: _Plan) -> None:
    height, width = image.shape[:2]
    patch_width = plan.box[2] - plan.box[0]
    half_wide, half_high = max(4, int(0.56 * patch_width)), max(2, int(0.10 * patch_width) + 1)
    x, y = int((plan.box[0] + plan.box[2]) / 2 + 0.06 * patch_width), int(plan.box[3]) - 1
    x0, x1, y0, y1 = max(0, x - half_wide), min(width, x + half_wide), max(0, y - half_high), min(height, y + half_high)
    soft = cv2.resize(_SHADOW, (2 * half_wide, 2 * half_high), interpolation=cv2.INTER_AREA)
    soft = soft[y0 - (y - half_high) : y1 - (y - half_high), x0 - (x - half_wide) : x1 - (x - half_wide)]
    image[y0:y1, x0:x1] *= 1.0 - 0.30 * soft[..., None]


def _seen(index: int, plan: _Plan, mask: np.ndarray, rng: np.random.Generator) -> SceneObject:
    """The object's record, from its visible pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    nouns = PERSON_NOUNS[plan.kind] if plan.kind else CLASSES[plan.category].nouns
    return SceneObject(
        index=index,
        category_id=CATEGORY_IDS[plan.category],
        category=plan.category,
        kind=plan.kind,
        noun=nouns[int(rng.integers(min(2, len(nouns))))],
        colour=plan.colour,
        look=plan.look,
        facing=("left" if plan.flip else "right") if CLASSES[plan.category].has_facing else "",
        in_air=plan.in_air,
        mask=mask,
        box=(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1),
        area=int(mask.sum()),
        depth=index,
    )
