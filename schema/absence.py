"""Conditions on absence: which server may judge, and which worker is gone. Pure SQL text.

All of it takes the time from the database. A judge that was not there itself all the time judges
nobody: after its start, after an outage of the database, and after a step of the clock, whoever was
cut off has the whole time again to come back.
"""


def watched(server_id: str, seconds: str, longest_gap: str) -> str:
    """Return SQL for whether a server has watched for so long without a gap, and still does.

    Args:
        server_id: Expression of its id.
        seconds: Expression of the seconds.
        longest_gap: Expression of the seconds between two heartbeats that are no gap.
    """
    return f"""EXISTS (SELECT 1 FROM servers v WHERE v.id = {server_id}
      AND v.watching_since <= now() - make_interval(secs => {seconds})
      AND v.seen_at BETWEEN now() - make_interval(secs => {longest_gap}) AND now())"""


def online(session: str, server: str, seconds: str) -> str:
    """Return SQL for whether a socket is open on a server that was seen in the last seconds."""
    return (
        f"({session}.disconnected_at IS NULL"
        f" AND {server}.seen_at > now() - make_interval(secs => {seconds}))"
    )


def absent(run: str, seconds: str) -> str:
    """Return SQL for whether the worker of a run had no socket at all in the last seconds.

    A run that was claimed or joined on a socket that is not known has nobody to miss.

    Args:
        run: Alias of the run.
        seconds: Expression of the seconds.
    """
    return f"""EXISTS (SELECT 1 FROM worker_sessions own WHERE own.id = {run}.session_id
      AND NOT EXISTS (SELECT 1 FROM worker_sessions w JOIN servers v ON v.id = w.server_id
        WHERE w.worker_id = own.worker_id
          AND coalesce(w.disconnected_at, v.seen_at) > now() - make_interval(secs => {seconds})))"""
