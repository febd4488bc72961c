"""The bound of a map, and which entries are dropped for it."""

from time import process_time

from app.runtime.bounded_map import BoundedMap


def filled(bound: int, *keys: str) -> BoundedMap[str, int]:
    bounded: BoundedMap[str, int] = BoundedMap(bound)
    for number, key in enumerate(keys):
        bounded.put(key, number)
    return bounded


def test_the_oldest_entry_is_dropped_and_returned() -> None:
    bounded = filled(2, "a", "b")
    assert bounded.put("c", 7) == {"a": 0}
    assert [bounded.get(key) for key in "abc"] == [None, 1, 7]
    assert len(bounded) == 2


def test_a_new_value_keeps_the_place_of_its_key() -> None:
    bounded = filled(2, "a", "b")
    assert bounded.put("a", 7) == {}
    assert bounded.put("c", 8) == {"a": 7}


def test_a_key_that_was_removed_is_new_when_it_comes_back() -> None:
    bounded = filled(2, "a", "b")
    assert bounded.pop("a") == 0
    assert bounded.pop("a") is None
    bounded.put("a", 7)
    assert bounded.put("c", 8) == {"b": 1}
    assert "b" not in bounded
    assert "a" in bounded


def test_as_many_are_dropped_as_the_size_of_the_new_value_takes() -> None:
    bounded: BoundedMap[str, int] = BoundedMap(10, size=lambda value: value)
    for key, size in (("a", 1), ("b", 4), ("c", 5)):
        assert bounded.put(key, size) == {}
    assert bounded.put("c", 6) == {"a": 1}
    assert bounded.put("d", 2) == {"b": 4}
    assert bounded.put("e", 2) == {}


def test_a_value_that_is_too_large_stays_out() -> None:
    bounded: BoundedMap[str, int] = BoundedMap(10, size=lambda value: value)
    bounded.put("a", 10)
    assert bounded.put("b", 11) == {"a": 10, "b": 11}
    assert len(bounded) == 0


def test_the_oldest_are_taken_in_their_order() -> None:
    bounded = filled(3, "a", "b", "c")
    assert list(bounded.pop_oldest(2).items()) == [("a", 0), ("b", 1)]
    assert bounded.pop_oldest(2) == {"c": 2}
    assert bounded.pop_oldest(2) == {}


def test_a_full_map_takes_new_entries_as_quickly_as_an_empty_one() -> None:
    # Clients choose many keys, such as the addresses that they send from.
    bounded: BoundedMap[int, int] = BoundedMap(20_000)
    seconds = []
    for part in range(6):
        began = process_time()
        for key in range(part * 20_000, (part + 1) * 20_000):
            bounded.put(key, key)
        seconds.append(process_time() - began)
    assert seconds[-1] < 10 * seconds[0]
