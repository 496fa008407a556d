"""Geo: where a picture lies on the Earth: a coordinate system and an affine map from its pixels into it.

The map takes (column, row) with the picture's outer top left corner at (0, 0), as GDAL has it: x = a col + b row + c and
y = d col + e row + f. Pixel centres of this package are at integers, so pixel (x, y) is at column x + 1/2, row y + 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from misr.errors import InputError

Affine = tuple[float, float, float, float, float, float]
Matrix = tuple[float, float, float, float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Geo:
    """The place of a picture.

    crs        coordinate system as WKT; "" where only the map is known
    transform  a, b, c, d, e, f of the affine map above, in units of the coordinate system
    nodata     the code value that says "nothing was seen here", or None
    """

    crs: str
    transform: Affine
    nodata: float | None = None

    def finer(self, scale: float) -> Geo:
        """The same ground in pixels `scale` times smaller: the outer corners stay where they are."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a / scale, b / scale, c, d / scale, e / scale, f))

    def moved(self, col: float, row: float) -> Geo:
        """The place of a window whose top left pixel is (col, row) of this picture."""
        a, b, c, d, e, f = self.transform
        return replace(self, transform=(a, b, a * col + b * row + c, d, e, d * col + e * row + f))

    def place(self, col: float, row: float) -> tuple[float, float]:
        """Coordinates of a column and row counted from the outer corner; pixel (x, y) has its centre at (x + 1/2, y + 1/2)."""
        a, b, c, d, e, f = self.transform
        return a * col + b * row + c, d * col + e * row + f

    def corners(self, width: int, height: int) -> tuple[tuple[float, float], ...]:
        """Coordinates of the outer corners: top left, top right, bottom right, bottom left."""
        return tuple(self.place(col, row) for col, row in ((0, 0), (width, 0), (width, height), (0, height)))

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Column and row, from the outer corner, of coordinates (x, y): the inverse of place(); InputError when there is none."""
        a, b, c, d, e, f = self.transform
        area = a * e - b * d
        if not area:
            raise InputError(
                f"the transform {self.transform} gives pixels no area; set the file's georeferencing right"
            )
        return (e * (x - c) - b * (y - f)) / area, (a * (y - f) - d * (x - c)) / area

    def onto(self, other: Geo) -> Matrix:
        """Row-major 3x3 from pixels of this picture to pixels of another, pixel centres at integers on both sides.

        Coordinate systems must agree; InputError where they do not, or where the other's map has no inverse.
        """
        if self.crs and other.crs and self.crs != other.crs:
            raise InputError(
                "two pictures in different coordinate systems; bring them into one first (gdalwarp -t_srs)"
            )
        (cx, cy), (xx, xy), (yx, yy) = (
            other.pixel(*self.place(col + 0.5, row + 0.5)) for col, row in ((0, 0), (1, 0), (0, 1))
        )
        return (xx - cx, yx - cx, cx - 0.5, xy - cy, yy - cy, cy - 0.5, 0.0, 0.0, 1.0)
