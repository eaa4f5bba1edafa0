"""Character drawings for unit tests, with results that a reader can count.

There are two kinds of drawings:

    pixels   one character is one pixel     '#' certain root, '1' to '9' root at 10 to 90 %, '@' shoot, 'o' seed
    graph    one character is 10 px (1 mm)  'A' to 'Z' graph nodes, 'a' to 'z' bends of a segment, '@' certain shoot,
                                            '%' uncertain shoot (80 %), 'o' seed, '#' root without a skeleton

'.' is agar. The segments of a graph are separate arguments: "AB" is straight, "AxB" bends at x, and "A~B" is a bridge.
"""

from dataclasses import dataclass
from itertools import pairwise
from textwrap import dedent

import numpy as np
from numpy.typing import NDArray

from thale.imaging.geometry import Frame
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.path_search import DirectedEdge, edge_target
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.phenotyping.plants.skeleton_graph import RootGraph
from thale.schemas import Landmark, LandmarkKind

CHARACTER_PX = 10
BRIDGE_COST = 1.0


def characters(drawing: str) -> NDArray[np.str_]:
    """Return the characters of a drawing (HW). Short lines are padded with agar."""
    lines = dedent(drawing).strip("\n").splitlines()
    width = max(len(line) for line in lines)
    return np.array([list(line.ljust(width, ".")) for line in lines])


def same_frame(height: int, width: int) -> Frame:
    """Return a frame with the pixels of the source image."""
    return Frame(x0=0, y0=0, source_width=width, source_height=height, width=width, height=height)


def drawing_mask(drawing: str) -> NDArray[np.bool_]:
    """Return the root mask of a pixel drawing (bool HW)."""
    return np.asarray(characters(drawing) == "#")


def drawing_maps(drawing: str, px_per_mm: float = 4.0, frame: Frame | None = None) -> ProbabilityMaps:
    """Return the probability maps of a pixel drawing."""
    letters_HW = characters(drawing)
    root_HW = np.where(letters_HW == "#", 255, 0)
    for tenths in range(1, 10):
        root_HW[letters_HW == str(tenths)] = round(25.5 * tenths)
    shoot_HW, seed_HW = (np.where(letters_HW == letter, 255, 0).astype(np.uint8) for letter in "@o")
    return ProbabilityMaps(
        root_HW.astype(np.uint8), shoot_HW, seed_HW, frame or same_frame(*letters_HW.shape), px_per_mm
    )


@dataclass
class DrawnGraph:
    """A skeleton graph with the letters of its nodes."""

    graph: RootGraph
    maps: ProbabilityMaps
    nodes: dict[str, int]

    def position(self, letter: str) -> Points:
        """Return the coordinates (x, y) of a node, px."""
        return self.graph.nodes[self.nodes[letter]]

    def edges(self, path: str) -> list[DirectedEdge]:
        """Return the edges along nodes: "ABC" is from A to B, then from B to C."""
        edges: list[DirectedEdge] = []
        for start, end in pairwise(path):
            ends = self.nodes[start], self.nodes[end]
            (edge,) = [
                (number, (segment.start, segment.end) == ends)
                for number, segment in self.graph.segments.items()
                if ends in ((segment.start, segment.end), (segment.end, segment.start))
            ]
            edges.append(edge)
        return edges

    def edge(self, path: str) -> DirectedEdge:
        """Return the single edge between two nodes."""
        (edge,) = self.edges(path)
        return edge

    def path(self, edges: list[DirectedEdge]) -> str:
        """Return the nodes along edges, the inverse of `edges`; "?" for a node without a letter."""
        letters = {node: letter for letter, node in self.nodes.items()}
        number, forward = edges[0]
        nodes = [edge_target(self.graph, (number, not forward)), *(edge_target(self.graph, edge) for edge in edges)]
        return "".join(letters.get(node, "?") for node in nodes)

    def landmark_at(
        self, letter: str, kind: LandmarkKind, score: float = 0.9, dx_mm: float = 0.0, dy_mm: float = 0.0
    ) -> Landmark:
        """Return a landmark at an offset from a node."""
        x, y = self.position(letter)
        return Landmark(
            kind=kind, x=float(x) + self.maps.mm_to_px(dx_mm), y=float(y) + self.maps.mm_to_px(dy_mm), score=score
        )

    def has_segment(self, path: str) -> bool:
        """Return True if a segment connects two nodes."""
        ends = {self.nodes[path[0]], self.nodes[path[1]]}
        return any({segment.start, segment.end} == ends for segment in self.graph.segments.values())

    def bridges(self) -> list[str]:
        """Return the bridges as pairs of nodes."""
        return sorted(self.path([(n, True)]) for n, segment in self.graph.segments.items() if segment.is_bridge)


def draw_graph(drawing: str, *segments: str, mm: float = 1.0) -> DrawnGraph:
    """Return the graph of a drawing whose characters are `mm` wide and high, with nodes at their centres."""
    letters_HW = characters(drawing)
    squares_HW = np.kron(
        letters_HW.view(np.uint32).reshape(letters_HW.shape), np.ones((CHARACTER_PX, CHARACTER_PX), int)
    )

    def squares(letter: str, value: int) -> NDArray[np.uint8]:
        return np.where(squares_HW == ord(letter), value, 0).astype(np.uint8)

    shoot_HW = squares("@", 255) + squares("%", 204)
    maps = ProbabilityMaps(
        squares("#", 255), shoot_HW, squares("o", 255), same_frame(*shoot_HW.shape), CHARACTER_PX / mm
    )
    graph = RootGraph(maps)
    positions: dict[str, Points] = {
        str(letters_HW[row, col]): np.array([col + 0.5, row + 0.5]) * CHARACTER_PX
        for row, col in np.argwhere(np.char.isalpha(letters_HW) & (letters_HW != "o")).tolist()
    }
    nodes = {letter: graph.add_node(positions[letter]) for letter in sorted(positions) if letter.isupper()}
    for names in segments:
        line = polyline.resample(np.array([positions[letter] for letter in names if letter != "~"]))
        if "~" not in names:
            cols, rows = np.round(line).astype(int).T
            maps.root_HW[rows, cols] = 255
    for names in segments:
        line = polyline.resample(np.array([positions[letter] for letter in names if letter != "~"]))
        graph.add_segment(nodes[names[0]], nodes[names[-1]], line, BRIDGE_COST if "~" in names else None)
    return DrawnGraph(graph, maps, nodes)


def t_junction() -> DrawnGraph:
    """Return a root from A to B, and a root from its middle X straight down to C."""
    return draw_graph(
        """
        A....X....B
        ...........
        ...........
        .....C.....
        """,
        *("AX", "XB", "XC"),
    )
