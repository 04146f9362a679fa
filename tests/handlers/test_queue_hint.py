"""An empty claim costs no query while nothing happened that could have filled the queue."""

from handlers.queue_hint import QueueHint

ANY = ("manual", "*")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_empty_queue_is_remembered_until_something_is_enqueued() -> None:
    hint = QueueHint(5.0, Clock())
    assert not hint.known_empty(ANY)
    hint.found_nothing(ANY, hint.before_claim())
    assert hint.known_empty(ANY)
    hint.invalidate()
    assert not hint.known_empty(ANY)


def test_an_enqueue_during_the_query_is_not_forgotten() -> None:
    hint = QueueHint(5.0, Clock())
    mark = hint.before_claim()
    hint.invalidate()
    hint.found_nothing(ANY, mark)
    assert not hint.known_empty(ANY)


def test_other_queues_are_not_believed_empty() -> None:
    hint = QueueHint(5.0, Clock())
    hint.found_nothing(("fast",), hint.before_claim())
    assert not hint.known_empty(ANY)


def test_the_slow_timer_asks_the_database_again() -> None:
    clock = Clock()
    hint = QueueHint(5.0, clock)
    hint.found_nothing(ANY, hint.before_claim())
    clock.now += 4.9
    assert hint.known_empty(ANY)
    clock.now += 0.2
    assert not hint.known_empty(ANY)


def test_memory_does_not_grow_with_the_names_that_workers_invent() -> None:
    hint = QueueHint(5.0, Clock())
    for number in range(1000):
        hint.found_nothing((f"queue-{number}",), hint.before_claim())
    assert not hint.known_empty(("queue-0",))
    assert hint.known_empty(("queue-999",))


def test_what_a_limit_holds_back_is_asked_for_again_soon() -> None:
    clock = Clock()
    hint = QueueHint(5.0, clock)
    hint.found_nothing(ANY, hint.before_claim(), held_back=True)
    assert hint.holds_back
    assert hint.known_empty(ANY)
    clock.now += 0.3
    assert not hint.known_empty(ANY)
    hint.invalidate()
    assert not hint.holds_back
