"""The pen: filled and outlined figures on a supersampled RGBA patch, in units of the object's height.

An object is drawn in its own frame: x to the right with 0 in its middle, y down from 0 (its top) to 1 (the ground).
The pen scales, mirrors and tilts that frame, so that a drawing never thinks in pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

SUPERSAMPLING = 4
_MARGIN = 0.30  # of the height, on every side: arms, tails and tilts reach out of the frame
_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)

Colour = tuple[float, ...]  # RGB, 0 to 255
Points = list[tuple[float, float]]


def shade(colour: Colour, factor: float) -> Colour:
    """Darken (factor < 1) or lighten towards white (factor > 1) an RGB colour."""
    if factor <= 1:
        return tuple(channel * factor for channel in colour)
    return tuple(channel + (255 - channel) * (factor - 1) for channel in colour)


def smooth(points: Points, rounds: int = 3) -> np.ndarray:
    """Closed curve (N * 2**rounds, 2) from a control polygon, by Chaikin's corner cutting."""
    curve = np.asarray(points, dtype=np.float64)
    for _ in range(rounds):
        following = np.roll(curve, -1, axis=0)
        curve = np.stack([0.75 * curve + 0.25 * following, 0.25 * curve + 0.75 * following], axis=1).reshape(-1, 2)
    return curve


class Pen:
    """Draws on `canvas`, uint8 (h, w, 4), at SUPERSAMPLING times the size; nothing is blended before `finish`."""

    def __init__(self, height_px: float, aspect: float, flip: bool, tilt_deg: float) -> None:
        self.scale = height_px * SUPERSAMPLING
        margin = _MARGIN * self.scale
        height = int(np.ceil((self.scale + 2 * margin) / SUPERSAMPLING)) * SUPERSAMPLING
        width = int(np.ceil((self.scale * aspect + 2 * margin) / SUPERSAMPLING)) * SUPERSAMPLING
        self.canvas = np.zeros((height, width, 4), np.uint8)
        angle = np.deg2rad(tilt_deg)
        mirror = -1.0 if flip else 1.0
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        # row vectors: a point is moved to the pivot on the ground, mirrored, tilted, scaled
        self._matrix = np.diag([mirror, 1.0]) @ turn.T * self.scale
        self._origin = np.array([width / 2, height - margin])
        self._line = max(2, round(0.85 * SUPERSAMPLING))

    def _pixels(self, points: np.ndarray | Points) -> np.ndarray:
        moved = (np.asarray(points, dtype=np.float64) - (0.0, 1.0)) @ self._matrix + self._origin
        return np.rint(moved).astype(np.int32)

    def _thickness(self, width: float) -> int:
        return max(1, round(width * self.scale))

    def poly(self, points: np.ndarray | Points, colour: Colour, outline: bool = True) -> None:
        """Filled polygon; `outline` adds a darker edge of the same hue."""
        pixels = self._pixels(points)
        cv2.fillPoly(self.canvas, [pixels], (*colour, 255))
        if outline:
            cv2.polylines(self.canvas, [pixels], True, (*shade(colour, 0.5), 255), self._line)

    def curve(self, points: Points, colour: Colour, outline: bool = True) -> None:
        """Filled smooth figure through a control polygon."""
        self.poly(smooth(points), colour, outline)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, angle: float = 0.0, outline: bool = True
    ) -> None:
        """Filled ellipse; `angle` in degrees."""
        points = CIRCLE * (rx, ry)
        if angle:
            c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
            points = points @ np.array([[c, s], [-s, c]])
        self.poly(np.add(points, (x, y)), colour, outline)

    def stroke(self, points: Points, width: float, colour: Colour, outline: bool = True) -> None:
        """Thick line with round ends; `width` in heights."""
        pixels = self._pixels(points)
        thickness = self._thickness(width)
        if outline:
            cv2.polylines(
                self.canvas, [pixels], False, (*shade(colour, 0.5), 255), thickness + 2 * max(1, self._line // 2)
            )
        cv2.polylines(self.canvas, [pixels], False, (*colour, 255), thickness)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Small filled circle without an edge, never thinner than a visible speck."""
        centre = self._pixels([(x, y)])[0]
        size = max(SUPERSAMPLING // 2, round(radius * self.scale))
        cv2.circle(self.canvas, (int(centre[0]), int(centre[1])), size, (*colour, 255), -1)

    def pattern(self, points: np.ndarray | Points, kind: str, colour: Colour, count: int = 4) -> None:
        """Stripes or spots inside a figure that was just drawn; `kind` is 'striped', 'upright' or 'spotted'."""
        inside = np.zeros(self.canvas.shape[:2], np.uint8)
        cv2.fillPoly(inside, [self._pixels(points)], 255)
        cv2.polylines(inside, [self._pixels(points)], True, 0, self._line)
        layer = np.zeros_like(inside)
        low, high = np.min(points, axis=0), np.max(points, axis=0)
        if kind == "spotted":
            radius = self._thickness((high[1] - low[1]) / (3.2 * count))
            for row in range(count):
                for column in range(count + 1):
                    share = ((column + 0.5 * (row % 2)) / count, (row + 0.5) / count)
                    centre = self._pixels([tuple(low + (high - low) * share)])[0]
                    cv2.circle(layer, (int(centre[0]), int(centre[1])), radius, 255, -1)
        else:
            axis = 0 if kind == "upright" else 1
            step = (high - low)[axis] / count
            for i in range(count):
                start, end = low.copy(), high.copy()
                start[axis] = end[axis] = low[axis] + step * (i + 0.5)
                cv2.polylines(layer, [self._pixels([start, end])], False, 255, self._thickness(0.45 * step))
        self.canvas[(inside & layer) > 0] = (*np.rint(colour).astype(np.uint8), 255)

    def finish(self) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
        """Picture at full size: premultiplied colour float32 (h, w, 3), alpha float32 (h, w) and the ground point.

        The patch is trimmed to what was drawn; the ground point (x, y) is counted from its top left corner.
        """
        height, width = self.canvas.shape[:2]
        small = cv2.resize(self.canvas, (width // SUPERSAMPLING, height // SUPERSAMPLING), interpolation=cv2.INTER_AREA)
        x, y, w, h = cv2.boundingRect(small[..., 3])
        small = small[y : y + h, x : x + w].astype(np.float32)
        ground = self._origin / SUPERSAMPLING - (x, y)
        alpha = small[..., 3] / 255.0
        return _lit(small[..., :3], alpha), alpha, (float(ground[0]), float(ground[1]))


def _lit(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Round the figure with light from the top left: the slope of its blurred silhouette stands for its surface."""
    height, width = alpha.shape
    reach = max(1, round(0.10 * min(height, width)))
    soft = cv2.copyMakeBorder(alpha, 2 * reach, 2 * reach, 2 * reach, 2 * reach, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.blur(soft, (2 * reach + 1, 2 * reach + 1))
    toward = soft[3 * reach : 3 * reach + height, 3 * reach : 3 * reach + width]
    away = soft[reach : reach + height, reach : reach + width]
    fall = np.linspace(1.05, 0.93, height, dtype=np.float32)[:, None]
    light = fall * (1.0 + 0.28 * (toward - away))
    lifted = colour * light[..., None] + (9.0 * np.maximum(toward - away, 0) * alpha)[..., None]
    return np.minimum(lifted, 255.0 * alpha[..., None])
