"""What is counted, and how it is shown."""

from prometheus_client.parser import text_string_to_metric_families

from channel_server.metrics import BUCKETS, Durations, Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_everything_counted_is_shown() -> None:
    metrics = Metrics()
    metrics.connected()
    metrics.connected()
    metrics.disconnected(1012)
    metrics.refused("origin")
    metrics.protocol_error("utf8")
    metrics.joined("ok", 0.02)
    metrics.left()
    metrics.replied("ok")
    metrics.crashed("handle_in")
    metrics.dropped("slow_client", 500)
    metrics.broadcasted(7)
    metrics.paused()
    assert value(metrics, "channel_server_connections") == 1
    assert value(metrics, "channel_server_connects_total") == 2
    assert value(metrics, "channel_server_disconnects_total", code="1012") == 1
    assert value(metrics, "channel_server_refusals_total", reason="origin") == 1
    assert value(metrics, "channel_server_protocol_errors_total", reason="utf8") == 1
    assert value(metrics, "channel_server_joins_total", result="ok") == 1
    assert value(metrics, "channel_server_join_seconds_count") == 1
    assert value(metrics, "channel_server_leaves_total") == 1
    assert value(metrics, "channel_server_replies_total", status="ok") == 1
    assert value(metrics, "channel_server_channel_crashes_total", callback="handle_in") == 1
    assert value(metrics, "channel_server_drops_total", reason="slow_client") == 1
    assert value(metrics, "channel_server_dropped_bytes_total") == 500
    assert value(metrics, "channel_server_broadcasts_total") == 1
    assert value(metrics, "channel_server_deliveries_total") == 7
    assert value(metrics, "channel_server_read_pauses_total") == 1


def test_events_that_nobody_declared_share_a_label() -> None:
    metrics = Metrics()
    metrics.declare_events(["echo"])
    for n in range(1_000):
        metrics.handled(f"made up {n}", f"status {n}", 0.001)
    metrics.handled("echo", "ok", 0.001)
    assert value(metrics, "channel_server_events_total", event="echo", status="ok") == 1
    assert value(metrics, "channel_server_events_total", event="other", status="other") == 1_000
    metrics.replied("made up")
    assert value(metrics, "channel_server_replies_total", status="other") == 1


def test_declaring_an_event_again_keeps_its_counts() -> None:
    metrics = Metrics()
    metrics.declare_events(["echo"])
    metrics.handled("echo", "ok", 0.001)
    metrics.declare_events(["echo"])
    assert value(metrics, "channel_server_event_seconds_count", event="echo") == 1


def test_durations_are_cumulative_buckets() -> None:
    durations = Durations()
    for seconds in (0.0001, BUCKETS[0], 0.3, 99.0):
        durations.observe(seconds)
    buckets = dict(durations.buckets())
    assert buckets[str(BUCKETS[0])] == 2
    assert buckets["0.25"] == 2
    assert buckets["0.5"] == 3
    assert buckets["+Inf"] == 4


def test_what_waits_for_slow_clients_is_a_gauge() -> None:
    class Slow:
        def queued_bytes(self) -> int:
            return 300

    metrics = Metrics()
    metrics.slow_clients |= {Slow(), Slow()}
    assert value(metrics, "channel_server_slow_connections") == 2
    assert value(metrics, "channel_server_send_queue_bytes") == 600


def test_the_text_format_can_be_parsed_and_instances_do_not_collide() -> None:
    first, second = Metrics(), Metrics()
    first.connected()
    names = {family.name for family in text_string_to_metric_families(first.render().decode())}
    assert "channel_server_connections" in names
    assert value(second, "channel_server_connections") == 0
