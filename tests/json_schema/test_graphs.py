"""Strongly connected components, compared with reachability."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.json_schema.graphs import components

_NODES = st.integers(0, 7)


def _reached(node: int, edges: dict[int, list[int]]) -> set[int]:
    found = {node}
    pending = [node]
    while pending:
        fresh = {inner for inner in edges[pending.pop()] if inner in edges} - found
        found |= fresh
        pending.extend(fresh)
    return found


@given(st.dictionaries(_NODES, st.lists(_NODES, max_size=4)))
def test_components_are_strongly_connected_and_come_after_those_they_reach(edges: dict[int, list[int]]) -> None:
    found = components(edges)

    reached = {node: _reached(node, edges) for node in edges}
    place = {node: at for at, members in enumerate(found) for node in members}
    assert sorted(node for members in found for node in members) == sorted(edges)
    for one in edges:
        for other in edges:
            assert (place[one] == place[other]) == (other in reached[one] and one in reached[other])
            assert other not in reached[one] or place[other] <= place[one]


def test_a_cycle_of_many_nodes_needs_no_recursion() -> None:
    count = 20_000

    assert len(components({node: [(node + 1) % count] for node in range(count)})) == 1
    assert len(components({node: [node + 1] for node in range(count)})) == count
