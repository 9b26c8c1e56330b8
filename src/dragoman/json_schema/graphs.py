"""Strongly connected components of directed graphs."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

N = TypeVar("N", bound=Hashable)


def components(edges: Mapping[N, Iterable[N]]) -> list[list[N]]:
    """The strongly connected components, each after all that can be reached from it (Tarjan's algorithm, without recursion).

    Takes time proportional to nodes and edges. Edges to nodes that are not keys of the mapping are ignored.
    """
    found: list[list[N]] = []
    lowest: dict[N, int] = {}  # the visit number of the earliest node that a node is known to reach
    visited: dict[N, int] = {}
    open_nodes: list[N] = []  # visited, and not yet in a component
    is_open: set[N] = set()
    for root in edges:
        path: list[tuple[N, Iterator[N]]] = [] if root in visited else [(root, iter(edges[root]))]
        while path:
            node, rest = path[-1]
            if node not in visited:
                visited[node] = lowest[node] = len(visited)
                open_nodes.append(node)
                is_open.add(node)
            for following in rest:
                if following not in visited and following in edges:
                    path.append((following, iter(edges[following])))
                    break
                if following in is_open:
                    lowest[node] = min(lowest[node], visited[following])
            else:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node])
                if lowest[node] == visited[node]:
                    at = next(at for at in range(len(open_nodes) - 1, -1, -1) if open_nodes[at] == node)
                    found.append(open_nodes[at:])
                    is_open.difference_update(open_nodes[at:])
                    del open_nodes[at:]
    return found
