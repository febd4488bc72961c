"""The monitoring files of docs/examples, with promtool, and with Prometheus on a real server."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.nginx import EXAMPLES, found, free_port
from tests.redis import redis_url
from tests.server_process import Server, serving

PATIENCE = 60.0
ALERTS = yaml.safe_load((EXAMPLES / "prometheus-alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
COMPARISON = re.compile(r" (?:>|==) [\d.]+")
SERIES = re.compile(r"\b(?:gatehouse|process)_\w+|\bup\b")
LABELS = re.compile(r'(\w+)!?=~?"')

# ------------------------------------------------------------------------------ promtool


def promtool(*arguments: str) -> str:
    """Run promtool, and return its output."""
    done = subprocess.run(
        [found("promtool", "prometheus"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def configured(folder: Path, target: str, key: str = "") -> Path:
    """Write the example for a server at `target`, with short intervals; return its path."""
    (folder / "key").write_text(key)
    config = (EXAMPLES / "prometheus.yml").read_text()
    changes = {
        "127.0.0.1:8000": target,
        "/etc/prometheus/gatehouse.key": str(folder / "key"),
        "15s": "500ms",
    }
    for before, after in changes.items():
        assert before in config
        config = config.replace(before, after)
    path = folder / "prometheus.yml"
    path.write_text(config)
    alerts = (EXAMPLES / "prometheus-alerts.yml").read_text()
    (folder / "prometheus-alerts.yml").write_text(alerts)
    return path


def test_promtool_accepts_the_scrape_settings_and_the_alerts(tmp_path: Path) -> None:
    printed = promtool("check", "config", str(configured(tmp_path, "127.0.0.1:8000")))
    assert f"SUCCESS: {len(ALERTS)} rules found" in printed


# Of each alert, series at which it fires and at which it does not, with values for each minute.
CASES: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "GatehouseDown": ({"up": "0x30"}, {"up": "1x27 0 1x2"}),
    "GatehouseInternalErrors": (
        {'gatehouse_faults_total{door="rpc"}': "0x25 1x5"},
        {'gatehouse_faults_total{door="rpc"}': "7x30"},
    ),
    "GatehouseRequestsFail": (
        {
            'gatehouse_http_request_seconds_count{status="200"}': "0+980x30",
            'gatehouse_http_request_seconds_count{status="503"}': "0+20x30",
        },
        {
            'gatehouse_http_request_seconds_count{status="404"}': "0+995x30",
            'gatehouse_http_request_seconds_count{status="500"}': "0+5x30",
        },
    ),
    "GatehouseCallsFail": (
        {
            'gatehouse_rpc_calls_total{outcome="ok"}': "0+980x30",
            'gatehouse_rpc_calls_total{outcome="overloaded"}': "0+20x30",
        },
        {
            'gatehouse_rpc_calls_total{outcome="ok"}': "0+900x30",
            'gatehouse_rpc_calls_total{outcome="unauthenticated"}': "0+100x30",
        },
    ),
    "GatehouseSlow": (
        {
            'gatehouse_http_request_seconds_bucket{route="/rpc",le="1"}': "0+90x30",
            'gatehouse_http_request_seconds_bucket{route="/rpc",le="5"}': "0+100x30",
            'gatehouse_http_request_seconds_bucket{route="/rpc",le="+Inf"}': "0+100x30",
        },
        {
            'gatehouse_http_request_seconds_bucket{route="/users",le="1"}': "0+10x30",
            'gatehouse_http_request_seconds_bucket{route="/users",le="+Inf"}': "0+100x30",
            'gatehouse_http_request_seconds_bucket{route="/rpc",le="1"}': "0+100x30",
            'gatehouse_http_request_seconds_bucket{route="/rpc",le="+Inf"}': "0+100x30",
        },
    ),
    "GatehouseRestarts": (
        {"process_start_time_seconds": "1x24 2 3 4x4"},
        {"process_start_time_seconds": "1x24 2x6"},
    ),
    "GatehouseWorkerReplaced": (
        {"gatehouse_workers_replaced_total": "0x25 1x5"},
        {"gatehouse_workers_replaced_total": "3x30"},
    ),
    "GatehouseFileDescriptors": (
        {"process_open_fds": "900x30", "process_max_fds": "1024x30"},
        {"process_open_fds": "700x30", "process_max_fds": "1024x30"},
    ),
    "GatehouseBackgroundTaskFails": (
        {'gatehouse_background_tasks{state="failing",task="housekeeping"}': "1x30"},
        {
            'gatehouse_background_tasks{state="failing",task="housekeeping"}': "0x30",
            'gatehouse_background_tasks{state="running",task="housekeeping"}': "1x30",
        },
    ),
    "GatehouseStoreRefuses": (
        {"gatehouse_store_refusals_total": "0+1x30"},
        {"gatehouse_store_refusals_total": "5x30"},
    ),
    "GatehouseStoreBusy": (
        {'gatehouse_store_transactions{state="waiting"}': "11x30"},
        {
            'gatehouse_store_transactions{state="waiting"}': "10x30",
            'gatehouse_store_transactions{state="running"}': "12x30",
        },
    ),
    "GatehouseLoginsWait": (
        {"gatehouse_hashes_refused_total": "0+1x30"},
        {'gatehouse_hashes{state="waiting"}': "40x30"},
    ),
    "GatehouseGuessing": (
        {'gatehouse_throttle_refusals_total{limit="key"}': "0+90x30"},
        {
            'gatehouse_throttle_refusals_total{limit="login"}': "0+30x30",
            'gatehouse_throttle_refusals_total{limit="check"}': "0+90x30",
        },
    ),
    "GatehouseProxyNotTrusted": (
        {"gatehouse_untrusted_forwards_total": "0+5x30"},
        {"gatehouse_untrusted_forwards_total": "0x25 1 2 3 4 5"},
    ),
    "GatehouseAccountsLocked": (
        {"gatehouse_locked_accounts": "21x30"},
        {"gatehouse_locked_accounts": "20x30"},
    ),
    "GatehouseRedisLost": ({"gatehouse_redis_lost": "1x30"}, {"gatehouse_redis_lost": "0x30"}),
    "GatehouseUpstreamFails": (
        {'gatehouse_upstream_requests_total{service="panel",outcome="timeout"}': "0+5x30"},
        {
            'gatehouse_upstream_requests_total{service="panel",outcome="timeout"}': "0+1x30",
            'gatehouse_upstream_requests_total{service="chat",outcome="refused"}': "0+9x30",
        },
    ),
    "GatehousePasswordRangesFail": (
        {'gatehouse_password_range_checks_total{outcome="failed"}': "0+1x30"},
        {'gatehouse_password_range_checks_total{outcome="unknown"}': "0+1x30"},
    ),
    "GatehouseOutboxDelayed": (
        {'gatehouse_outbox_oldest_seconds{state="waiting",kind="servers"}': "0+60x30"},
        {
            'gatehouse_outbox_oldest_seconds{state="waiting",kind="servers"}': "600x30",
            'gatehouse_outbox_oldest_seconds{state="dead",kind="servers"}': "9999x30",
        },
    ),
    "GatehouseOutboxDead": (
        {'gatehouse_outbox_messages{state="dead",kind="servers"}': "0x29 1"},
        {
            'gatehouse_outbox_messages{state="dead",kind="servers"}': "0x30",
            'gatehouse_outbox_messages{state="waiting",kind="servers"}': "9x30",
        },
    ),
    "GatehouseWritesLost": (
        {"gatehouse_deferred_writes_lost_total": "0x25 1x5"},
        {"gatehouse_deferred_writes_lost_total": "1x30"},
    ),
    "GatehouseLogLinesDropped": (
        {"gatehouse_log_lines_dropped_total": "0x25 9x5"},
        {"gatehouse_log_lines_dropped_total": "9x30"},
    ),
}


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    assert [*CASES] == [alert["alert"] for alert in ALERTS]
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": in_job(series), "values": values}
                for inputs in all_inputs
                for series, values in inputs.items()
            ],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "30m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing
                    ],
                }
            ],
        }
        for all_inputs, firing in zip(zip(*CASES.values(), strict=True), (CASES, ()), strict=True)
    ]
    path = tmp_path / "tests.yml"
    rules = str(EXAMPLES / "prometheus-alerts.yml")
    path.write_text(yaml.safe_dump({"rule_files": [rules], "tests": tests}))
    assert "SUCCESS" in promtool("test", "rules", str(path))


def in_job(series: str) -> str:
    name, _, labels = series.rstrip("}").partition("{")
    return f'{name}{{job="gatehouse",instance="a"{labels and "," + labels}}}'


# ---------------------------------------------------------------------------- a real server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers with everything that has metrics."""
    settings = {
        "GATEHOUSE_WORKERS": "2",
        "GATEHOUSE_METRICS": "admin",
        "GATEHOUSE_REDIS_URL": redis_url(),
        # Other servers of tests have counters in that Redis.
        "GATEHOUSE_RATE_LIMIT_EXEMPT": "127.0.0.1",
        "GATEHOUSE_PASSWORD_RANGE_URL": "http://127.0.0.1:1/range",
        "GATEHOUSE_CHAT_URL": "http://127.0.0.1:1/chat",
        "GATEHOUSE_CHAT_TOKEN": "secret-of-the-chat",
        "GATEHOUSE_PANEL_URL": "http://127.0.0.1:1/panel",
        "GATEHOUSE_PANEL_TOKEN": "secret-of-the-panel",
    }
    with serving(tmp_path_factory.mktemp("monitored"), **settings) as started:
        yield started


class Prometheus:
    """A Prometheus that scrapes a server, with the files of the examples."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **params: str) -> Any:
        """Return the data of a response, None while Prometheus starts."""
        try:
            response = self._client.get(path, params=params)
        except httpx.TransportError:
            return None
        if response.status_code == 503:
            return None
        answer = response.json()
        assert answer["status"] == "success", (params, answer)
        return answer["data"]

    def query(self, expression: str) -> list[Any]:
        """Return the series of an expression."""
        result: list[Any] = (self.get("/query", query=expression) or {}).get("result", [])
        return result


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with a key that can only read, and traffic for it to see."""
    folder = tmp_path_factory.mktemp("prometheus")
    admin = {"X-Access-Token": server.admin_key}
    limited = {"name": "prometheus", "scope": "read"}
    made = server.client.post("/users/@self/keys", json=limited, headers=admin)
    target = server.greeting["url"].removeprefix("http://")
    with running(configured(folder, target, made.json()["key"])) as started:
        yield started


@contextmanager
def running(config: Path) -> Iterator[Prometheus]:
    port = free_port()
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    process = subprocess.Popen([found("prometheus", "prometheus"), *options])
    address = f"http://127.0.0.1:{port}/api/v1"
    try:
        with httpx.Client(base_url=address, trust_env=False) as client:
            yield Prometheus(client)
    finally:
        process.terminate()
        process.wait(timeout=30)


def make_requests(server: Server) -> None:
    """Have each kind of series change that requests can change."""
    account = {"username": "lamplighter", "password": "a lamp in the hall"}
    call = {"jsonrpc": "2.0", "method": "users.auth", "params": account, "id": 1}
    # Once: later calls find the name taken.
    server.client.post("/rpc", json={**call, "method": "users.create"})
    token = server.client.post("/rpc", json=call).json()["result"]["token"]
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("/users/@self", "/users/@self/guilds", "/users/@self/nothing"):
        server.client.get(path, headers=headers)
    server.client.get("/users/@self")


def as_queried(expression: str) -> str:
    """Replace the variables of the dashboard."""
    values = {"$__rate_interval": "30s", "$job": "gatehouse", "$instance": ".*"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_every_query_of_the_dashboard_has_data(server: Server, prometheus: Prometheus) -> None:
    latest = monotonic() + PATIENCE
    missing = {name: as_queried(query) for name, query in QUERIES.items()}
    while missing:
        assert monotonic() < latest, missing
        make_requests(server)
        missing = {name: query for name, query in missing.items() if not prometheus.query(query)}
        sleep(0.2)


def test_every_alert_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    latest = monotonic() + PATIENCE
    while True:
        groups = (prometheus.get("/rules") or {}).get("groups", [])
        states = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        if states and "unknown" not in states.values():
            break
        assert monotonic() < latest, states
        sleep(0.2)
    assert states == {alert["alert"]: "ok" for alert in ALERTS}


# Only failures make these series.
RARE = {"GatehouseCallsFail", "GatehouseRequestsFail"}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_compares_series_that_exist(
    server: Server, prometheus: Prometheus, alert: Mapping[str, Any]
) -> None:
    compared = [COMPARISON.sub("", part) for part in alert["expr"].split(" or ")]
    wanted = [f'{name}{{{label}!=""}}' for name, label in labels_in(alert["expr"])]
    wanted += SERIES.findall(alert["expr"]) + (compared if alert["alert"] not in RARE else [])
    latest = monotonic() + PATIENCE
    while missing := [query for query in wanted if not prometheus.query(query)]:
        assert monotonic() < latest, missing
        make_requests(server)
        sleep(0.2)


def labels_in(expression: str) -> Iterator[tuple[str, str]]:
    """Yield each series with each label that a matcher names."""
    for name, matchers in re.findall(rf"({SERIES.pattern})\{{([^}}]*)\}}", expression):
        for label in LABELS.findall(matchers):
            yield name, label


# The resident memory says more.
IN_NO_PANEL = {"process_virtual_memory_bytes"}


def test_the_dashboard_shows_every_metric(server: Server) -> None:
    key = {"X-Access-Token": server.admin_key}
    families = text_string_to_metric_families(server.client.get("/metrics", headers=key).text)
    shown = " ".join(QUERIES.values())
    missing = {family.name for family in families if family.name not in shown}
    assert missing == IN_NO_PANEL


def test_each_panel_of_the_dashboard_has_its_own_place_and_number() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) == {
        *variables,
        "__rate_interval",
        "__all",
    }


# ------------------------------------------------------------------------------ the page


def test_each_alert_leads_to_its_section_of_the_handbook(server: Server) -> None:
    page = server.client.get("/handbook/alerts.html").text
    for alert in ALERTS:
        url = alert["annotations"]["runbook_url"]
        path, _, fragment = url.removeprefix("https://id.example.com").partition("#")
        assert path == "/handbook/alerts.html"
        assert f'id="{fragment}"' in page, url
        assert alert["labels"]["severity"] in {"critical", "warning"}


def test_the_page_names_only_metrics_that_exist(prometheus: Prometheus) -> None:
    named = set(SERIES.findall((EXAMPLES.parent / "alerts.md").read_text("utf-8")))
    assert named <= {*prometheus.get("/label/__name__/values")}
