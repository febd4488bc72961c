"""The limits of an access key, which also hold for every key made with it."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import Forbidden, InvalidInput
from app.domain.key_limits import NETWORKS_MAX, UNLIMITED, KeyLimits, Networks, Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)

scopes = st.sampled_from(Scope)
times = st.none() | st.integers(0, 3).map(lambda days: NOW + timedelta(days=days))


@st.composite
def _network(draw: st.DrawFn) -> IPv4Network | IPv6Network:
    # Few bits that differ, so that networks often meet.
    bits = draw(st.integers(0, 4))
    high = draw(st.integers(0, 2**bits - 1))
    if draw(st.booleans()):
        return IPv4Network(((10 << 24) + (high << (24 - bits)), 8 + bits))
    return IPv6Network(((0x20010DB8 << 96) + (high << (96 - bits)), 32 + bits))


network_lists = st.lists(_network(), min_size=1, max_size=6)
networks = network_lists.map(lambda found: Networks.parse(list(map(str, found))))
bounds = st.builds(KeyLimits, scope=scopes, expires_at=times, networks=st.none() | networks)


@st.composite
def _address(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return str(ip_address((10 << 24) + draw(st.integers(0, 2**25 - 1))))
    return str(ip_address((0x20010DB8 << 96) + draw(st.integers(0, 2**97 - 1))))


# -------------------------------------------------------------------------------- scopes

ALLOWS = {  # whether it may change anything, whether it may what takes an admin
    Scope.READ: (False, True),
    Scope.SELF: (True, False),
    Scope.ADMIN: (True, True),
}


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_allows_what_its_name_says(scope: Scope) -> None:
    assert (scope.can_write, scope.can_administer) == ALLOWS[scope]
    assert Scope.parse(scope.value) is scope


def test_admin_is_above_the_others_and_these_are_side_by_side() -> None:
    below = {(one, other) for one in Scope for other in Scope if one.is_within(other)}
    assert below == {
        *((scope, scope) for scope in Scope),
        (Scope.READ, Scope.ADMIN),
        (Scope.SELF, Scope.ADMIN),
    }


@pytest.mark.parametrize("raw", ["", "READ", "write", "read ", "admin self", "scope", "0"])
def test_any_other_scope_is_refused_with_the_three_named(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Scope.parse(raw)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["scope"]
    assert all(scope in refusal.value.detail for scope in Scope)


# ------------------------------------------------------------------------------ networks


@pytest.mark.parametrize(
    ("raws", "shown"),
    [
        (["192.0.2.0/24"], "192.0.2.0/24"),
        (["192.0.2.7"], "192.0.2.7/32"),
        (["2001:DB8:0::/32", "::1"], "::1/128 2001:db8::/32"),
        (["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"], "10.0.0.0/8"),
        (["10.0.0.0/9", "10.128.0.0/9"], "10.0.0.0/8"),
        (["0.0.0.0/0", "::/0"], "0.0.0.0/0 ::/0"),
        (["::ffff:192.0.2.0/120"], "192.0.2.0/24"),
        (["::ffff:192.0.2.7"], "192.0.2.7/32"),
        (["::ffff:0:0/96"], "0.0.0.0/0"),
    ],
)
def test_networks_are_shown_in_their_shortest_form(raws: list[str], shown: str) -> None:
    assert str(Networks.parse(raws)) == shown


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "2001:db8::1/32",
        "::/129",
        "10.0.0.0/-1",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/0.255.255.255",
        "10.0.0.0/",
        "10.0.0/8",
        "010.0.0.0/8",
        "10.0.0.0/8 ",
        "10.0.0.0/8\n",
        "١٠.0.0.0/8",
        "fe80::%eth0/64",
        "fe80::1%1",
        "localhost",
        "*",
        "10.0.0.0/8,192.0.2.0/24",
        "167772160",
        "\0",
        "1" * 5000,
    ],
)
def test_an_invalid_network_is_refused_with_its_member_named(raw: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Networks.parse(["10.0.0.0/8", raw])
    assert [field_error.name for field_error in refusal.value.field_errors] == ["networks"]


@pytest.mark.parametrize("raws", [[], ["10.0.0.0/8"] * (NETWORKS_MAX + 1)])
def test_no_network_is_not_everywhere_and_too_many_are_refused(raws: list[str]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Networks.parse(raws)
    assert [field_error.name for field_error in refusal.value.field_errors] == ["networks"]


@pytest.mark.parametrize(
    ("address", "is_held"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("::ffff:192.0.2.9", True),
        ("::ffff:c000:209", True),
        ("::192.0.2.9", False),
        ("2001:db8::5", True),
        ("2001:DB8:ffff::", True),
        ("2001:db9::", False),
        ("fe80::1%eth0", False),
        ("testclient", False),
        ("192.0.2.9:4711", False),
        ("", False),
        (None, False),
    ],
)
def test_an_address_is_in_the_networks_however_it_is_written(
    address: str | None, is_held: bool
) -> None:
    assert Networks.parse(["192.0.2.0/24", "2001:db8::/32"]).contains(address) is is_held


def test_all_of_ipv6_holds_no_ipv4_address() -> None:
    everything = Networks.parse(["::/0"])
    assert everything.contains("2001:db8::1")
    assert not everything.contains("192.0.2.1")
    assert not everything.contains("::ffff:192.0.2.1")


@given(network_lists, _address())
def test_the_shortest_form_holds_just_the_same_addresses(
    found: list[IPv4Network | IPv6Network], address: str
) -> None:
    parsed = Networks.parse(list(map(str, found)))
    assert parsed.contains(address) is any(ip_address(address) in network for network in found)
    assert Networks.parse(str(parsed).split()) == parsed


@given(networks, networks, _address())
def test_contained_networks_have_no_address_of_their_own(
    inner: Networks, outer: Networks, address: str
) -> None:
    if inner.is_within(outer) and inner.contains(address):
        assert outer.contains(address)


@given(networks, networks)
def test_networks_that_are_not_contained_have_one_that_is_not_covered(
    inner: Networks, outer: Networks
) -> None:
    """Counted by the addresses themselves: nothing that fits is refused."""
    both = Networks.parse([*str(inner).split(), *str(outer).split()])
    size = {n: sum(b.num_addresses for b in n.blocks) for n in (both, outer)}
    assert inner.is_within(outer) is (size[both] == size[outer])


def test_two_halves_hold_the_whole() -> None:
    halves = Networks.parse(["10.0.0.0/9", "10.128.0.0/9"])
    assert Networks.parse(["10.0.0.0/8"]).is_within(halves)
    assert not Networks.parse(["10.0.0.0/7"]).is_within(halves)
    assert not Networks.parse(["::/8"]).is_within(halves)


@given(st.lists(st.text(max_size=45), max_size=3))
def test_any_texts_are_networks_or_invalid_input(raws: list[str]) -> None:
    try:
        parsed = Networks.parse(raws)
    except InvalidInput:
        return
    assert Networks.parse(list(map(str, parsed.blocks))) == parsed


# -------------------------------------------------------------------------------- bounds


@given(bounds, st.none() | scopes, times, st.none() | networks)
def test_a_key_made_under_limits_never_exceeds_them(
    maker: KeyLimits, scope: Scope | None, ends: datetime | None, where: Networks | None
) -> None:
    try:
        made = maker.restrict(scope=scope, expires_at=ends, networks=where)
    except Forbidden:
        return
    assert made.find_wider_fields(maker) == []
    asked = (scope or made.scope, ends or made.expires_at, where or made.networks)
    assert asked == (made.scope, made.expires_at, made.networks)


@given(bounds)
def test_a_key_without_limits_of_its_own_gets_those_of_its_maker(maker: KeyLimits) -> None:
    assert maker.restrict() == maker
    assert maker.find_wider_fields(UNLIMITED) == []


@given(bounds, st.lists(st.tuples(st.none() | scopes, times, st.none() | networks), max_size=4))
def test_a_chain_of_keys_never_leads_back_up(
    first: KeyLimits, links: list[tuple[Scope | None, datetime | None, Networks | None]]
) -> None:
    last = first
    for scope, ends, where in links:
        with suppress(Forbidden):
            last = last.restrict(scope=scope, expires_at=ends, networks=where)
    assert last.find_wider_fields(first) == []


@given(bounds, bounds)
def test_two_that_are_within_each_other_are_the_same(one: KeyLimits, other: KeyLimits) -> None:
    alike = one.find_wider_fields(other) == [] == other.find_wider_fields(one)
    assert alike is (one == other)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"scope": Scope.ADMIN}, "scope"),
        ({"scope": Scope.READ}, "scope"),
        ({"expires_at": NOW + timedelta(days=1, seconds=1)}, "expires_at"),
        ({"networks": Networks.parse(["0.0.0.0/0"])}, "networks"),
        ({"networks": Networks.parse(["10.1.0.0/16", "::1"])}, "networks"),
        (
            {"scope": Scope.ADMIN, "networks": Networks.parse(["::/0"])},
            "scope, networks",
        ),
    ],
)
def test_a_wider_key_is_refused_with_the_member_named(asked: dict[str, object], named: str) -> None:
    maker = KeyLimits(Scope.SELF, NOW + timedelta(days=1), Networks.parse(["10.0.0.0/8"]))
    with pytest.raises(Forbidden, match=f": {named}\\.$"):
        maker.restrict(**asked)  # type: ignore[arg-type]


def test_a_narrower_key_is_allowed() -> None:
    maker = KeyLimits(Scope.ADMIN, NOW + timedelta(days=1), Networks.parse(["10.0.0.0/8"]))
    less = KeyLimits(Scope.READ, NOW, Networks.parse(["10.1.0.0/16"]))
    assert maker.restrict(scope=less.scope, expires_at=NOW, networks=less.networks) == less
