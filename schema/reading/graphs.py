"""How a snapshot's graph looks to a reader: nodes and edges, without the code of the jobs."""

from typing import Final

from schema.tables import CONDITION_TYPES

_NAMED: Final = ", ".join(f"'{name}'" for name in CONDITION_TYPES if name != "js_expression")


def graph_json(graph: str) -> str:
    """Return SQL for ``{triggers, jobs, edges}`` of a snapshot's graph (an expression).

    Triggers have the type and the switch that they have now; null if they are gone.
    """
    return f"""jsonb_build_object(
  'triggers', coalesce((
    SELECT jsonb_agg(jsonb_build_object('id', n.value -> 'id', 'type', t.type, 'key', t.key,
      'enabled', t.enabled) ORDER BY n.ordinality)
    FROM jsonb_array_elements({graph} -> 'triggers') WITH ORDINALITY n
    LEFT JOIN triggers t ON t.id = (n.value ->> 'id')::uuid), '[]'),
  'jobs', coalesce((
    SELECT jsonb_agg(jsonb_build_object('id', n.value -> 'id', 'name', n.value -> 'name',
      'adaptor', n.value -> 'adaptor') ORDER BY n.ordinality)
    FROM jsonb_array_elements({graph} -> 'jobs') WITH ORDINALITY n), '[]'),
  'edges', coalesce((
    SELECT jsonb_agg((n.value - 'condition') || jsonb_build_object(
      'condition', n.value -> 'condition',
      'condition_type', CASE WHEN n.value ->> 'condition' IN ({_NAMED})
        THEN n.value ->> 'condition' ELSE 'js_expression' END) ORDER BY n.ordinality)
    FROM jsonb_array_elements({graph} -> 'edges') WITH ORDINALITY n), '[]'))"""
